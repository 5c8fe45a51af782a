"""Receives OTLP logs with the protobuf definitions of OpenTelemetry, which crossgate has no part in.

Usage: otlp_receiver.py grpc|http [--fail N] [--reject N]

Prints the port that it listens on, then a line of JSON for each log record that it takes. With
`--fail N` the first N requests fail for the moment, with `--reject N` the first request that is
taken has N records refused.
"""

import argparse
import gzip
import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as service
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as service_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def plain(value: AnyValue):
    """A value as Python has it."""
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def pairs(attributes) -> dict:
    """Attributes as a dictionary; a key that comes twice is wrong."""
    found = {pair.key: plain(pair.value) for pair in attributes}
    assert len(found) == len(attributes), "an attribute comes twice"
    return found


class Receiver:
    """What both protocols share."""

    def __init__(self, fail: int, reject: int):
        self.fail = fail
        self.reject = reject
        self.lock = threading.Lock()

    def export(self, request: service.ExportLogsServiceRequest, headers: dict):
        """The answer, or None where the request fails."""
        with self.lock:
            if self.fail > 0:
                self.fail -= 1
                return None
            for of_resource in request.resource_logs:
                resource = pairs(of_resource.resource.attributes)
                for of_scope in of_resource.scope_logs:
                    for record in of_scope.log_records:
                        self.show(record, resource, of_scope.scope, headers)
            answer = service.ExportLogsServiceResponse()
            if self.reject > 0:
                answer.partial_success.rejected_log_records = self.reject
                answer.partial_success.error_message = "as asked"
                self.reject = 0
            return answer

    def show(self, record, resource: dict, scope, headers: dict):
        """Prints a record."""
        print(
            json.dumps(
                {
                    "resource": resource,
                    "scope": scope.name,
                    "headers": headers,
                    "time": record.time_unix_nano,
                    "observed": record.observed_time_unix_nano,
                    "severity": record.severity_number,
                    "severityText": record.severity_text,
                    "eventName": record.event_name,
                    "trace": record.trace_id.hex(),
                    "body": plain(record.body),
                    "attributes": pairs(record.attributes),
                }
            ),
            flush=True,
        )


def serve_grpc(receiver: Receiver):
    """Until it is killed."""

    class Logs(service_grpc.LogsServiceServicer):
        def Export(self, request, context):
            headers = {key: value for key, value in context.invocation_metadata()}
            answer = receiver.export(request, headers)
            if answer is None:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_grpc.add_LogsServiceServicer_to_server(Logs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def serve_http(receiver: Receiver):
    """Until it is killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = None
            if self.path == "/v1/logs":
                assert self.headers["content-type"] == "application/x-protobuf"
                request = service.ExportLogsServiceRequest.FromString(body)
                answer = receiver.export(request, {key.lower(): value for key, value in self.headers.items()})
            answered = answer.SerializeToString() if answer is not None else b""
            self.send_response(503 if answer is None else 200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answered)))
            self.end_headers()
            self.wfile.write(answered)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=["grpc", "http"])
    parser.add_argument("--fail", type=int, default=0)
    parser.add_argument("--reject", type=int, default=0)
    arguments = parser.parse_args()
    receiver = Receiver(arguments.fail, arguments.reject)
    {"grpc": serve_grpc, "http": serve_http}[arguments.protocol](receiver)


if __name__ == "__main__":
    sys.exit(main())

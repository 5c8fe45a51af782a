# Build: the toolchain that rust-version in Cargo.toml names, on the system whose libc and libgcc the
# final stage has.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
RUN cargo build --release --locked --bin crossgate \
    && mkdir -p /var/lib/crossgate/events

# Run: glibc, libgcc and root certificates, no shell, no package manager, user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/crossgate /usr/local/bin/crossgate
# A new volume takes over owner and mode of the directory below it.
COPY --from=build --chown=65532:65532 /var/lib/crossgate /var/lib/crossgate
COPY LICENSE NOTICE /usr/share/doc/crossgate/

# By number, so that `runAsNonRoot` can tell.
USER 65532:65532
WORKDIR /var/lib/crossgate
# Configuration comes by mount, events go to a volume.
VOLUME ["/var/lib/crossgate"]
EXPOSE 8080

# Needs `admin` in the configuration; the binary asks its own admin listener over loopback.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/usr/local/bin/crossgate", "health", "--config", "/etc/crossgate/crossgate.yaml"]

# SIGTERM drains; give it longer than drain.timeout: `docker stop --time 40`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/crossgate"]
CMD ["run", "--config", "/etc/crossgate/crossgate.yaml"]

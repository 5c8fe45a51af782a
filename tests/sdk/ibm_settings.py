"""The unchanged IBM SDK against the settings API: read, update, conflict.

usage: ibm_settings.py BASE_URL ACCOUNT [TOKEN]

Ends with 0 if all went as it must. Leaves the account as it found it.
"""

import sys

from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator, NoAuthAuthenticator
from ibm_platform_services import IamPolicyManagementV1
from ibm_platform_services.iam_policy_management_v1 import (
    ExternalAccountIdentityInteractionPatch,
    IdentityTypesBase,
    IdentityTypesPatch,
)

PARTNER = "f71446b6474d45bf81196da45de13940"


def identity_types(document):
    return document["external_account_identity_interaction"]["identity_types"]


def check(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: found {found!r}, expected {expected!r}")
    print(f"ok: {what}")


class Settings:
    def __init__(self, url, account, token):
        authenticator = BearerTokenAuthenticator(token) if token else NoAuthAuthenticator()
        self.service = IamPolicyManagementV1(authenticator=authenticator)
        self.service.set_service_url(url)
        self.account = account

    def read(self):
        response = self.service.get_settings(account_id=self.account)
        return identity_types(response.get_result()), response.get_headers()["ETag"]

    def update(self, etag, **types):
        patch = IdentityTypesPatch(**{name: IdentityTypesBase(**value) for name, value in types.items()})
        response = self.service.update_settings(
            account_id=self.account,
            if_match=etag,
            external_account_identity_interaction=ExternalAccountIdentityInteractionPatch(
                identity_types=patch
            ),
        )
        return identity_types(response.get_result()), response.get_headers()["ETag"]


def status_of(call):
    try:
        call()
    except ApiException as error:
        return error.status_code, bool(error.message)
    return 200, False


def main():
    url, account = sys.argv[1:3]
    token = sys.argv[3] if len(sys.argv) > 3 else None
    settings = Settings(url, account, token)

    first, first_tag = settings.read()
    check("three identity types", sorted(first), ["service", "service_id", "user"])

    enabled = {"state": "enabled", "external_allowed_accounts": []}
    cleared, cleared_tag = settings.update(
        first_tag, user=enabled, service_id=enabled, service=enabled
    )
    check("cleared", cleared, {"user": enabled, "service_id": enabled, "service": enabled})

    limited = {"state": "limited", "external_allowed_accounts": [PARTNER]}
    updated, updated_tag = settings.update(cleared_tag, user=limited)
    check("one type updated", updated["user"], limited)
    check("the others kept", (updated["service_id"], updated["service"]), (enabled, enabled))
    check("the tag moved", updated_tag != cleared_tag, True)

    again, again_tag = settings.read()
    check("read after write", (again, again_tag), (updated, updated_tag))

    stale = status_of(lambda: settings.update(cleared_tag, user=enabled))
    check("a stale tag is a conflict", stale, (412, True))
    check("nothing changed", settings.read(), (again, again_tag))

    unknown = {"state": "sometimes", "external_allowed_accounts": []}
    wrong = status_of(lambda: settings.update(again_tag, user=unknown))
    check("an unknown state is refused", wrong, (400, True))

    monitor = {"state": "monitor", "external_allowed_accounts": []}
    updated, tag = settings.update(again_tag, service=monitor)
    check("report-only for services", (updated["service"], updated["user"]), (monitor, limited))

    restored, _ = settings.update(tag, **first)
    check("restored", restored, first)


if __name__ == "__main__":
    main()

"""Who runs a mailbox: few names, whatever the world says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.provider import OTHER, PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("domain", "remote_mta", "name"),
    [
        ("gmail.com", None, "google"),
        ("example.com", "aspmx.l.google.com", "google"),
        ("example.com", "ASPMX.L.GOOGLE.COM.", "google"),
        ("example.com", "example-com.mail.protection.outlook.com", "microsoft"),
        ("example.com", "mx.example.com", OTHER),
        ("example.com", "notgoogle.com", OTHER),
        ("example.com", "google.com.example.net", OTHER),
        ("hotmail.com", "mx.example.com", "microsoft"),
        ("example.com", None, OTHER),
    ],
)
def test_the_remote_mta_or_the_domain_tells(domain, remote_mta, name):
    assert provider_of(domain, remote_mta) == name


@given(st.text(), st.none() | st.text())
def test_whatever_it_is_asked_the_answer_is_one_of_a_few(domain, remote_mta):
    assert provider_of(domain, remote_mta) in PROVIDERS

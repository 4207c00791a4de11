from __future__ import annotations

import pytest

from ci_mlsnap.training.environment import passed_names, training_environment


def given(environ: dict[str, str], *passed: str) -> dict[str, str]:
    return training_environment(environ, passed=passed, own={})[0]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "HOME",
            "LANG",
            "LC_ALL",
            "LD_LIBRARY_PATH",
            "CUDA_VISIBLE_DEVICES",
            "NCCL_DEBUG",
            "SLURM_JOB_ID",
        ),
        *("OMP_NUM_THREADS", "CONDA_PREFIX", "VIRTUAL_ENV", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM", "TZ"),
        *(
            "PYTHONPATH",
            "http_proxy",
            "HTTPS_PROXY",
            "no_proxy",
            "CI",
            "GITHUB_SHA",
            "GITHUB_ACTIONS",
            "BUILD_URL",
        ),
        *("RUNNER_OS", "JENKINS_URL", "NODE_NAME"),
    ],
)
def test_what_training_needs_and_everybody_may_see_passes(name: str) -> None:
    assert given({name: "value"}) == {name: "value"}


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATA", "SSH_AUTH_SOCK", "Path", "XPATH"])
def test_anything_else_passes_only_when_asked_for_by_name(name: str) -> None:
    assert given({name: "value"}) == {}
    assert given({name: "value"}, name) == {name: "value"}


@pytest.mark.parametrize("name", ["SLURM_JWT", "CONDA_TOKEN", "PYTHON_REGISTRY_PASSWORD", "LD_API_KEY"])
def test_a_usual_beginning_does_not_let_a_secret_pass(name: str) -> None:
    assert given({name: "value"}) == {}
    assert given({name: "value"}, name) == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        *("MLSNAP_GITHUB_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "github_token"),
        *("MLSNAP_ONTAP_PASSWORD", "MLSNAP__ONTAP__PASSWORD", "MLSNAP_SECRET", "MLSNAP_SIGNING_KEY"),
        *("ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"),
        *("INPUT_TOKEN", "INPUT_GITHUB-TOKEN", "JENKINS_API_TOKEN", "ONTAP_PASSWORD"),
        *("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"),
    ],
)
def test_our_own_secrets_and_the_runners_files_never_pass(name: str) -> None:
    environment, left_out = training_environment({name: "value", "A": "b"}, passed=(name,), own={})
    assert environment == {}
    assert left_out == (name, "A"), "what was asked for in vain is told first"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value", ["http://me:word@proxy:3128", "me:word@proxy:3128", "http://me@proxy", "http://[::1"]
)
def test_a_proxy_with_a_login_is_left_out_unless_asked_for(name: str, value: str) -> None:
    assert given({name: value}) == {}
    assert given({name: value}, name) == {name: value}


def test_a_proxy_without_a_login_passes() -> None:
    environ = {"http_proxy": "http://proxy:3128/", "HTTPS_PROXY": "proxy:3128", "no_proxy": "10.0.0.0/8,.lan"}
    assert given(environ) == environ


def test_what_we_tell_training_wins_and_is_not_called_left_out() -> None:
    environ = {"MLSNAP_COMMIT": "forged", "MLSNAP_METRICS": "elsewhere", "PATH": "/bin"}
    own = {"MLSNAP_COMMIT": "a" * 40, "MLSNAP_METRICS": "/w/metrics.json"}
    environment, left_out = training_environment(environ, passed=(), own=own)
    assert environment == {"PATH": "/bin", **own}
    assert left_out == ()


def test_the_names_left_out_are_sorted_and_without_their_values() -> None:
    _, left_out = training_environment({"B_KEY": "hidden", "A_KEY": "hidden", "PATH": "/bin"}, passed=(), own={})
    assert left_out == ("A_KEY", "B_KEY")


def test_the_record_names_the_wishes_that_were_granted() -> None:
    environ = {"HF_TOKEN": "x", "GITHUB_TOKEN": "y"}
    assert passed_names(environ, ("HF_TOKEN", "GITHUB_TOKEN", "NOT_SET")) == ("HF_TOKEN",)

"""The scripts of charts/mongodb, run by bash.

No mongod was available (FACTS.md), so what they start is stood in for: a `docker-entrypoint.sh`, a `mongodump` and a
`mongorestore` that write down how they were called. What is seen is what the scripts themselves do: refuse, join,
keep, delete.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.budget.solution import MongoDBServer
from tests.charts.datastores.scenarios import Scenario, container

SCENARIO = Scenario("mongodb", "everything")
USERS = ("app", "operator", "exporter", "backup")
AWKWARD = 'it\'s "quoted": {yaml} #no \\ $HOME'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The container's directories, with passwords and a certificate in place."""
    for folder in (
        "data/db",
        "backup",
        "tmp",
        "run/mongodb",
        "etc/mongodb/passwords",
        "etc/mongodb/tls",
        "bin",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for user in USERS:
        (tmp_path / "etc/mongodb/passwords" / f"{user}-password").write_text(f"{user}\n")
    (tmp_path / "etc/mongodb/passwords/password").write_text(f"{AWKWARD}\n")
    (tmp_path / "etc/mongodb/tls/tls.crt").write_text("certificate\n")
    (tmp_path / "etc/mongodb/tls/tls.key").write_text("key\n")
    return tmp_path


def program(root: Path, name: str, body: str) -> None:
    """A stand-in on PATH."""
    file = root / "bin" / name
    file.write_text(f"#!/bin/bash\n{body}\n")
    file.chmod(0o755)


def run(root: Path, script: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    script = re.sub(r"(?<![\w.])/(?=(data/db|backup|tmp|run/mongodb|etc/mongodb)\b)", f"{root}/", script)
    bash = shutil.which("bash") or "bash"
    return subprocess.run(
        [bash, "-euo", "pipefail", "-c", f"{before}\n{script}"],
        env={"PATH": f"{root / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def start_script(**values: Any) -> str:
    text: str = SCENARIO.one("ConfigMap", **values)["data"]["start.sh"]
    return text


def job_script(kind: str, **values: Any) -> str:
    spec = SCENARIO.one(kind, **values)["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    text: str = container(spec["template"]["spec"], "tools")["args"][0]
    return text


@pytest.fixture
def entry_point(root: Path) -> None:
    program(root, "docker-entrypoint.sh", 'echo "$(ulimit -n) $*"')


@pytest.mark.usefixtures("entry_point")
def test_start_hands_over_to_the_images_entry_point_with_descriptors_raised(root: Path) -> None:
    server = SCENARIO.datastore.server
    assert isinstance(server, MongoDBServer)
    done = run(root, start_script(), before="ulimit -Sn 256")
    descriptors, _, command = done.stdout.partition(" ")
    assert int(descriptors) >= server.file_descriptors, done.stderr
    assert command == f"mongod --config {root}/etc/mongodb/conf/mongod.conf\n"


@pytest.mark.usefixtures("entry_point")
def test_start_says_what_is_missing_when_descriptors_cannot_be_raised(root: Path) -> None:
    # root may raise any limit, so the refusal is the shell's own.
    done = run(root, start_script(), before="ulimit() { if [ $# = 1 ]; then echo 256; else return 1; fi; }")
    assert done.returncode == 1
    assert "256 file descriptors, the budget needs" in done.stderr


@pytest.mark.usefixtures("entry_point")
@pytest.mark.parametrize("user", USERS)
def test_start_names_the_password_that_is_missing(root: Path, user: str) -> None:
    (root / "etc/mongodb/passwords" / f"{user}-password").unlink()
    done = run(root, start_script())
    assert done.returncode == 1
    assert f"no {user}-password in the Secret mongodb-users" in done.stderr


@pytest.mark.usefixtures("entry_point")
def test_a_first_start_that_was_cut_off_is_told_apart_from_a_restart(root: Path) -> None:
    (root / "data/db/WiredTiger").touch()
    refused = run(root, start_script())
    assert refused.returncode == 1
    assert "its users were not made here" in refused.stderr
    (root / "data/db/.users-made").touch()
    assert run(root, start_script()).returncode == 0


@pytest.mark.usefixtures("entry_point")
def test_certificate_and_key_are_joined_where_only_the_server_reads(root: Path) -> None:
    assert run(root, start_script()).returncode == 0
    joined = root / "run/mongodb/tls.pem"
    assert joined.read_text() == "certificate\nkey\n"
    assert joined.stat().st_mode & 0o077 == 0


MONGODUMP = """
for argument; do case $argument in
    --config=*) cp "${argument#*=}" "$(dirname "$0")/../config" ;;
    --archive=*) echo dump > "${argument#*=}" ;;
esac; done
echo "$*" > "$(dirname "$0")/../arguments"
"""


def test_a_backup_is_kept_under_its_name_when_it_is_whole_and_old_ones_go(root: Path) -> None:
    program(root, "mongodump", MONGODUMP)
    for day in range(1, 6):
        (root / f"backup/2026-01-0{day}T03-17-00Z.archive.gz").touch()
    (root / "backup/2026-01-05T03-17-00Z.archive.gz.partial").touch()
    done = run(root, job_script("CronJob"))
    assert done.returncode == 0, done.stderr
    kept = sorted(file.name for file in (root / "backup").iterdir())
    assert kept[:2] == ["2026-01-04T03-17-00Z.archive.gz", "2026-01-05T03-17-00Z.archive.gz"]
    assert len(kept) == SCENARIO.values["backup"]["keep"]
    assert (root / "backup" / kept[-1]).read_text() == "dump\n"


def test_a_dump_that_fails_is_no_backup_and_takes_none_away(root: Path) -> None:
    program(root, "mongodump", f"{MONGODUMP}\nexit 1")
    old = {f"2026-01-0{day}T03-17-00Z.archive.gz" for day in range(1, 6)}
    for name in old:
        (root / "backup" / name).touch()
    assert run(root, job_script("CronJob")).returncode == 1
    assert old == {file.name for file in (root / "backup").iterdir() if file.name.endswith(".gz")}


@pytest.mark.parametrize(("kind", "name"), [("CronJob", "mongodump"), ("Job", "mongorestore")])
def test_the_password_goes_by_a_file_that_only_this_container_reads(root: Path, kind: str, name: str) -> None:
    program(root, name, MONGODUMP)
    assert run(root, job_script(kind)).returncode == 0
    written: Mapping[str, str] = YAML(typ="safe").load((root / "config").read_text())
    assert written == {"password": AWKWARD}
    assert (root / "tmp/tools.yaml").stat().st_mode & 0o077 == 0
    arguments = (root / "arguments").read_text()
    assert AWKWARD not in arguments
    assert "--numParallelCollections=1" in arguments


def test_a_restore_takes_the_archive_that_was_named_and_leaves_users_alone(root: Path) -> None:
    program(root, "mongorestore", MONGODUMP)
    assert run(root, job_script("Job")).returncode == 0
    arguments = (root / "arguments").read_text()
    assert f"--archive={root}/backup/2026-11-25T03-17-00Z.archive.gz" in arguments
    assert "--nsExclude=admin.*" in arguments
    assert "--drop" in arguments

"""Ansible's amazon.aws, unmodified: a playbook makes a network, changes nothing when run again, another removes all."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from terraform import everything

HERE = pathlib.Path(__file__).parent


def play(book, home):
    """Runs a playbook; the counts of its recapitulation."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", HERE / book],
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        # Nothing of the user's own settings, and no credentials, reach it.
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
             "ANSIBLE_HOME": str(home), "ANSIBLE_REMOTE_TEMP": str(home), "ANSIBLE_PIPELINING": "1",
             "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_LOCALHOST_WARNING": "0"})
    assert done.returncode == 0, done.stdout + done.stderr
    [recap] = re.findall(r"^localhost +: (.+)$", done.stdout, re.MULTILINE)
    return done.stdout, {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", recap)}


def test_a_playbook_is_idempotent(region, tmp_path):
    ec2 = region.client()
    before = everything(ec2)
    try:
        told, first = play("playbook.yml", tmp_path)
        assert first["failed"] == 0 and first["changed"] == first["ok"], told
        made = everything(ec2)
        told, second = play("playbook.yml", tmp_path)
        assert second["ok"] == first["ok"] and second["changed"] == 0, told
        assert everything(ec2) == made
        told, gone = play("teardown.yml", tmp_path)
        assert gone["failed"] == 0
        assert everything(ec2) == before, told
    finally:
        shutil.rmtree(tmp_path)

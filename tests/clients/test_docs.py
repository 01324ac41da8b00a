"""The README's examples, pasted as they stand, one after the other into one shell."""

import os
import pathlib
import re
import subprocess
import sys

from conftest import POLDER

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_the_readmes_examples(region, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    assert len(blocks) >= 3
    # The path as a user has it: the program, awscli, and a `sudo`, which for root need do nothing. A real one would
    # look for the program where the README has it installed.
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "polder").symlink_to(pathlib.Path(POLDER).resolve())
    (programs / "aws").write_text(f"#!/bin/sh\nexec {sys.executable} -m awscli \"$@\"\n")
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail"], input="".join(blocks), capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{region.output()}"
    assert "hello from an instance" in done.stdout
    assert "BLOCKED" in done.stdout and "security-group-ingress" in done.stdout
    assert "inet 10.0.1." in done.stdout

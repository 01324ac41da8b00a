"""Amazon's SDK for JavaScript as the client: story.mjs.

`cargo xtask test` installs the SDK of package.json to target/node where node and npm are; without them this is skipped.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
INSTALLED = HERE.parents[1] / "target/node"


def test_the_story(region, tmp_path):
    node = shutil.which("node") or pytest.skip("no `node` in PATH")
    if not (INSTALLED / "node_modules/@aws-sdk/client-ec2").is_dir():
        pytest.skip("no SDK for JavaScript in target/node: there was no `npm` to install it, or it could not")
    # Modules are looked for beside the script.
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node_modules")
    shutil.copy(HERE / "story.mjs", tmp_path)
    done = subprocess.run(
        [node, tmp_path / "story.mjs", region.endpoint], capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})
    assert done.returncode == 0, done.stdout + done.stderr + region.output()
    assert done.stdout.strip() == "everything as promised"

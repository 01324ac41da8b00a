"""`polder demo`, piped: every packet as expected, no colours, nothing left."""

import glob
import signal
import subprocess
import tempfile

from conftest import POLDER


def test_the_demo_passes():
    done = subprocess.run([POLDER, "demo"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout and "\x1b" not in done.stdout
    assert "security-group-ingress" in done.stdout and "delivered" in done.stdout
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert " pd" not in links


def test_an_interrupted_demo_leaves_nothing():
    for lines in range(1, 10):
        demo = subprocess.Popen([POLDER, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(lines):
            demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        out, error = demo.communicate(timeout=60)
        # The second is a signal's own effect, as long as nothing has been started.
        assert demo.returncode in (130, -signal.SIGINT), f"after {lines} lines: {out}{error}"
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        assert " pd" not in links, f"after {lines} lines: {links}"
        left = glob.glob(f"{tempfile.gettempdir()}/polder-demo-{demo.pid}")
        assert not left, f"after {lines} lines: {left}"

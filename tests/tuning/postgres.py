"""A PostgreSQL server of its own for a test, where there is one on the machine."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A server refuses to run as root; Debian's package makes this user.
USER = "postgres"


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None if there is none."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))]
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    return next((each for each in reversed(places) if (each / "initdb").is_file()), None)


@contextmanager
def server(bin_dir: Path) -> Iterator[str]:
    """Start a server on a free port, with its data in a folder that is removed at the end; yield its address."""
    as_user = pwd.getpwnam(USER) if os.getuid() == 0 else None

    def run(name: str, *words: str) -> None:
        command = [str(bin_dir / name), *words]
        owner = {"user": as_user.pw_uid, "group": as_user.pw_gid, "extra_groups": ()} if as_user else {}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **owner)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr

    with tempfile.TemporaryDirectory(prefix="clfctl-postgres-") as folder:
        if as_user:
            os.chown(folder, as_user.pw_uid, as_user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data, log = f"{folder}/data", f"{folder}/log"
        run("initdb", "-D", data, "-U", "me", "-A", "trust", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql://me@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")

"""A database as a customer has it, with a table that a source follows: for alert_faults.py."""

import json
import os
import pwd
import signal
import subprocess
import time

import watch
from alert_platform import PG_BIN, free_port


class SourceDatabase:
    """A server with `wal_level=logical`, and a producer of its own that follows the table `things` of it."""

    ROLE = "producer-table"

    def __init__(self, platform):
        self.platform, self.port = platform, free_port()
        self.folder = f"{platform.folder}/source-{self.port}"
        self.declaration = self.folder + ".json"
        os.mkdir(self.folder)
        self.prefix = []
        if os.geteuid() == 0:
            account = next(one for one in pwd.getpwall() if one.pw_name == "nobody")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            # Root's Postgres is another user, who has to pass the folders above.
            self.prefix = [
                "setpriv", "--pdeathsig=INT", "--no-new-privs", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
                "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override",
                "--securebits=+no_setuid_fixup,+noroot", "--"]
        data = self.folder + "/data"
        subprocess.run(
            [*self.prefix, PG_BIN + "/initdb", "-D", data, "-A", "trust", "-U", "source", "-N", "-E", "UTF8", "--no-locale"],
            check=True, capture_output=True, timeout=120)
        self.server = watch.Child(
            "source-database",
            [*self.prefix, PG_BIN + "/postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "wal_level=logical", "-c", "fsync=off", "-c", "max_wal_size=4GB"],
            self.folder + ".log")
        self.wait("the source's database", lambda: self.sql("SELECT 1") == "1")
        self.sql("CREATE TABLE things (id int PRIMARY KEY, body text)")
        self.sql("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 20) n")
        self.declare(1)
        platform.start(self.ROLE, SOURCES_FILE=self.declaration)
        self.wait("the slot", lambda: self.slots() == "1")

    def wait(self, what, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.2)
        raise RuntimeError(f"{what}: not in {seconds} s\n{self.platform.last_words()}")

    def sql(self, statement):
        """- Returns: the first value; None where the server does not answer, or says no."""
        done = subprocess.run(
            [PG_BIN + "/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "source", "-d", "postgres", "-At", "-c", statement],
            capture_output=True, text=True, timeout=120)
        return done.stdout.strip() if done.returncode == 0 else None

    def slots(self):
        return self.sql("SELECT count(*) FROM pg_replication_slots WHERE NOT temporary")

    def declare(self, snapshot):
        connector = {"type": "postgres", "dsn": f"postgresql://source@127.0.0.1:{self.port}/postgres", "table": "things",
                     "snapshot": snapshot}
        logic = {"type": "document", "envelope": "debezium", "fields": {"id": "id", "version": "@source.order", "text": "body"}}
        with open(self.declaration + ".new", "w", encoding="utf-8") as file:
            json.dump({"sources": [{"name": f"things-{self.port}", "connector": connector, "logic": logic}]}, file)
        os.rename(self.declaration + ".new", self.declaration)

    def ask(self, action):
        code, output = self.platform.command("sources", action, f"things-{self.port}", "--file", self.declaration)
        assert code == 0, output

    def pause(self):
        self.ask("pause")
        self.wait("the pause", lambda: self.sql("SELECT count(*) FROM pg_replication_slots WHERE active") == "0")

    def write(self, mebibytes):
        """So much of the log that is about no table."""
        self.sql(f"SELECT count(pg_logical_emit_message(false, 'trial', repeat('x', 1048576))) FROM generate_series(1, {mebibytes})")

    def lag(self):
        return int(self.sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), min(confirmed_flush_lsn))::bigint FROM pg_replication_slots") or 0)

    def read_again(self):
        """The way out where changes are lost."""
        self.declare(2)
        self.platform.signal(self.ROLE, signal.SIGHUP)
        self.wait("a new slot", lambda: self.slots() == "1")

    def end(self):
        self.platform.end(self.ROLE)
        self.server.process.send_signal(signal.SIGINT)
        self.server.process.wait(60)

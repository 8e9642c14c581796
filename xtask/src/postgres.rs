//! A private PostgreSQL cluster for as long as one command runs.
//!
//! It is made with `initdb` in a fresh temporary folder, listens on one free loopback port, and is removed with
//! the folder when the [`Cluster`] is dropped: at the end, after a failure, after Ctrl-C. No existing cluster is touched.
//!
//! What it does not protect against: other users of the same machine. Whoever can reach the loopback port can log in
//! while the command runs; the cluster holds nothing but what the tests put there.
//!
//! `binaries` finds or installs the server, `account` says which user it runs as, `folder` is where its files are.

mod account;
mod binaries;
mod folder;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::foreground::Foreground;
use account::Account;
use binaries::Binaries;
use folder::Folder;

/// Where tests look for the cluster.
pub(crate) const URL_VARIABLE: &str = "HOOKYARD_TEST_POSTGRES";

/// The superuser `initdb` makes; suites create databases of their own with it.
const SUPERUSER: &str = "hookyard";

/// Suites run in parallel, each with several pools: PostgreSQL's own default of 100 is too few.
const CONNECTIONS_MAX: u32 = 200;

/// A free port is asked for and then released, so somebody else may take it before PostgreSQL does; five in a row
/// have another cause.
const PORT_TRIES_MAX: u32 = 5;

/// `initdb` and recovery take about two seconds; a loaded build machine gets thirty times that.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long an immediate shutdown may take before the postmaster is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// How often a condition is checked that only a file or the process table shows.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// How much of PostgreSQL's log goes into an error: its last words say why.
const LOG_TAIL_LINES: usize = 20;

/// A running PostgreSQL cluster; dropping it stops the server and removes its folder.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Fields drop in this order: first the server ends, then its folder goes.
    _postmaster: Postmaster,
    _folder: Folder,
    url: String,
}

impl Cluster {
    /// Makes and starts a cluster, and installs Debian's PostgreSQL when no server binaries are found.
    ///
    /// # Errors
    ///
    /// When there are no binaries and none can be installed, when this user is root and there is no unprivileged one,
    /// or when the server does not start; the end of its log is in the message.
    pub(crate) fn start(foreground: &Foreground) -> anyhow::Result<Self> {
        let binaries = Binaries::find_or_install(foreground)?;
        let account = Account::for_server()?;
        let folder = Folder::create(&account)?;
        let postgres = Postgres {
            binaries,
            account,
            folder: &folder,
        };
        postgres.initdb(foreground)?;
        let (postmaster, port) = postgres.start(foreground)?;
        Ok(Self {
            _postmaster: postmaster,
            _folder: folder,
            url: format!("postgres://{SUPERUSER}@127.0.0.1:{port}/postgres"),
        })
    }

    /// The URL of the cluster's maintenance database, as its superuser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// What the steps towards a running cluster share.
struct Postgres<'a> {
    binaries: Binaries,
    account: Account,
    folder: &'a Folder,
}

impl Postgres<'_> {
    fn initdb(&self, foreground: &Foreground) -> anyhow::Result<()> {
        let log = self.folder.path().join("initdb.log");
        let status = self
            .command("initdb", &log)?
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .status()
            .context("cannot start initdb")?;
        // Ctrl-C reaches initdb too; its failure then says nothing new.
        foreground.check()?;
        if !status.success() {
            bail!("initdb ended with {status}:\n{}", tail(&log));
        }
        Ok(())
    }

    fn start(&self, foreground: &Foreground) -> anyhow::Result<(Postmaster, u16)> {
        for _ in 0..PORT_TRIES_MAX {
            let port = free_port().context("cannot get a free port on 127.0.0.1")?;
            let log = self.folder.path().join(format!("server-{port}.log"));
            let mut postmaster = self.postmaster(port, &log)?;
            match self.await_ready(&mut postmaster, foreground)? {
                Start::Ready => return Ok((postmaster, port)),
                Start::Ended if says_port_taken(&read(&log)) => {}
                Start::Ended => bail!("PostgreSQL ended right after its start:\n{}", tail(&log)),
                Start::TooLate => bail!("PostgreSQL was not ready within {} s:\n{}", READY_WITHIN.as_secs(), tail(&log)),
            }
        }
        bail!("each of {PORT_TRIES_MAX} free ports was taken by somebody else before PostgreSQL could listen on it")
    }

    fn postmaster(&self, port: u16, log: &Path) -> anyhow::Result<Postmaster> {
        let mut command = self.command("postgres", log)?;
        command.arg("-D").arg(self.data()).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            // None: a socket's path may have 107 bytes, and a long TMPDIR leaves fewer.
            "unix_socket_directories=",
            // The tests check durability, so the database must flush its commits.
            "fsync=on",
            "logging_collector=off",
            "log_destination=stderr",
            &format!("max_connections={CONNECTIONS_MAX}"),
        ] {
            command.args(["-c", setting]);
        }
        // A group of its own: Ctrl-C must not stop the database under tests that are still ending.
        let child = command.process_group(0).spawn().context("cannot start postgres")?;
        Ok(Postmaster { child })
    }

    fn await_ready(&self, postmaster: &mut Postmaster, foreground: &Foreground) -> anyhow::Result<Start> {
        let deadline = Instant::now() + READY_WITHIN;
        let pid_file = self.data().join("postmaster.pid");
        loop {
            foreground.check()?;
            if postmaster.has_ended()? {
                return Ok(Start::Ended);
            }
            if says_ready(&read(&pid_file)) {
                return Ok(Start::Ready);
            }
            if Instant::now() >= deadline {
                return Ok(Start::TooLate);
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// One of the server's programs as the server's user, with an environment that says nothing about this one's.
    fn command(&self, program: &str, log: &Path) -> anyhow::Result<Command> {
        let log_file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = log_file.try_clone().with_context(|| format!("cannot share {}", log.display()))?;
        let mut command = Command::new(self.binaries.program(program));
        command
            .env_clear()
            // English messages: one of them is compared.
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(errors);
        self.account.apply(&mut command);
        Ok(command)
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

/// How a start went.
enum Start {
    Ready,
    Ended,
    TooLate,
}

/// The server's first process; dropping it stops the server.
#[derive(Debug)]
struct Postmaster {
    child: Child,
}

impl Postmaster {
    fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait().context("cannot ask for the state of postgres")?.is_some())
    }

    /// Waits until the server has gone, at most `within`.
    fn ends(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            match self.has_ended() {
                Ok(false) if Instant::now() < deadline => thread::sleep(POLL_EVERY),
                Ok(ended) => return ended,
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if self.ends(Duration::ZERO) {
            return;
        }
        // SIGQUIT is PostgreSQL's immediate shutdown, as with `pg_ctl stop -m immediate`: nothing here needs a checkpoint.
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        if !self.ends(STOPPED_WITHIN) {
            eprintln!("xtask: PostgreSQL did not stop within {} s and is killed", STOPPED_WITHIN.as_secs());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Asks the operating system for a port that nobody listens on at the moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether a `postmaster.pid` says that connections are welcome: its eighth line is the state (miscadmin.h of
/// PostgreSQL, `LOCK_FILE_LINE_PM_STATUS`), and `pg_ctl start --wait` reads it too.
fn says_ready(postmaster_pid: &str) -> bool {
    postmaster_pid.lines().nth(7).is_some_and(|state| state.trim_end() == "ready")
}

/// Whether the server ended because its port was taken in the meantime.
fn says_port_taken(log: &str) -> bool {
    log.contains("Address already in use")
}

/// A file's text, or an empty one: these files come and go with the server.
fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn tail(log: &Path) -> String {
    last_lines(&read(log), LOG_TAIL_LINES)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTING: &str = "2831\n/tmp/x/data\n1763714367\n41287\n\n127.0.0.1\n  8918129  32768\nstarting\n";

    #[test]
    fn a_server_is_ready_when_its_lock_file_says_so_and_not_before() {
        assert!(!says_ready(""));
        assert!(!says_ready("2831\n/tmp/ready\n"));
        assert!(!says_ready(STARTING));
        assert!(says_ready(&STARTING.replace("starting", "ready   ")));
    }

    #[test]
    fn a_port_taken_meanwhile_is_told_from_other_failures() {
        assert!(says_port_taken(
            "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n"
        ));
        assert!(!says_port_taken(
            "FATAL:  could not create shared memory segment: No space left on device\n"
        ));
    }

    #[test]
    fn an_error_shows_the_end_of_a_long_log_and_the_whole_of_a_short_one() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
    }
}

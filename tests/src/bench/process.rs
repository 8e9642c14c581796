//! Child processes, and what processes use: processor time and memory, read from `/proc`.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// A child says where it listens within this.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// A child has ended so long after it was asked to, or it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Ticks of `/proc/<pid>/stat` per second: `USER_HZ`, 100 on every Linux (proc(5)).
const TICKS_PER_SECOND: u32 = 100;
/// The line of a server that is ready.
const LISTENING: &str = "listening on http://";

/// A server as a child of this process; killed when it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command` and waits until it says where it listens. Its log goes to `log`.
    ///
    /// # Errors
    /// It cannot be run, or ends or stays silent instead of listening.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let output = child.stdout.take().context("the child has no output")?;
        let (told, tell) = mpsc::channel();
        // Ends with the child's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(LISTENING) {
                    told.send(address.parse::<SocketAddr>()).ok();
                }
            }
        });
        let heard = tell.recv_timeout(START_DEADLINE);
        let mut started = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        match heard {
            Ok(address) => started.address = address.context("the server listens on no address")?,
            Err(_) => bail!("the server did not start:\n{}", std::fs::read_to_string(log).unwrap_or_default()),
        }
        Ok(started)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It did not end in time, or ended with a failure.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        asked.context("cannot ask the server to end")?;
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // A floor handles no signal, so it ends by it.
                return if status.success() || status.code().is_none() {
                    Ok(())
                } else {
                    bail!("the server ended with {status}")
                };
            }
            if Instant::now() > deadline {
                bail!("the server did not end within {STOP_DEADLINE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails for one that has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// It cannot be run or fails; what it complained of is in the message.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{} failed:\n{}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fields of `/proc/<pid>/stat` after the command's name, which may itself hold blanks (proc(5)).
struct Stat {
    parent: u32,
    own_ticks: u32,
    ended_children_ticks: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(Self {
            parent: number(1)?,
            own_ticks: number(11)? + number(12)?,
            ended_children_ticks: number(13)? + number(14)?,
        })
    }
}

/// Processor time a process has used, in steps of 10 ms; zero for one that has ended.
pub fn cpu(pid: u32) -> Duration {
    Stat::of(pid).map_or(Duration::ZERO, |stat| Duration::from_secs(1) * stat.own_ticks / TICKS_PER_SECOND)
}

/// Processor time of a process, its children, and its children that have ended: a whole PostgreSQL cluster.
pub fn cpu_with_children(pid: u32) -> Duration {
    let Some(own) = Stat::of(pid) else { return Duration::ZERO };
    let children: u32 = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
        .filter(|stat| stat.parent == pid)
        .map(|stat| stat.own_ticks)
        .sum();
    Duration::from_secs(1) * (own.own_ticks + own.ended_children_ticks + children) / TICKS_PER_SECOND
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    Stat::of(pid).map(|stat| stat.parent)
}

/// Resident memory of a process, now and at most, in bytes.
///
/// # Errors
/// There is no such process.
pub fn memory_bytes(pid: u32) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    };
    Ok((
        field("VmRSS:").context("the process has no memory")?,
        field("VmHWM:").unwrap_or_default(),
    ))
}

/// This very program, for the floors that run as children.
///
/// # Errors
/// The system does not say.
pub fn myself() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot tell which program this is")
}

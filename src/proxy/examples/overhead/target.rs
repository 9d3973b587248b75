//! What is measured: processes that listen, ended when this one ends.

use super::mock;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process, ended when this is dropped. Its standard input is held open: children that listen to it end with us even
/// when we are killed.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The replicas.
pub struct Mocks {
    _process: Process,
    addresses: Vec<SocketAddr>,
}

/// Somebody to send requests to.
pub struct Target {
    pub name: String,
    pub address: SocketAddr,
    process: Option<Process>,
    _files: Option<tempfile::TempDir>,
}

impl Mocks {
    pub fn start() -> Result<Self, String> {
        let (process, lines) = own(&["mocks"])?;
        let addresses = mock::addresses(lines);
        if addresses.is_empty() {
            return Err("the mocks do not listen".to_owned());
        }
        Ok(Self { _process: process, addresses })
    }
}

impl Target {
    /// A replica itself.
    pub fn direct(mocks: &Mocks) -> Self {
        let (name, address) = ("direct".to_owned(), mocks.addresses[0]);
        Self { name, address, process: None, _files: None }
    }

    /// This crate's proxy.
    pub fn gorgo(mocks: &Mocks, policy: &str) -> Result<Self, String> {
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\npolicy = \"{policy}\"\n[router]\nindex = {{ lru = {{ capacity_tokens_per_replica = 400000 }} }}\n"
        );
        for (index, address) in mocks.addresses.iter().enumerate() {
            text += &format!("[[replica]]\nname = \"r{index}\"\nurl = \"http://{address}\"\n");
        }
        let files = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = files.path().join("proxy.toml");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let (process, mut lines) = own(&["proxy", &path.to_string_lossy()])?;
        let address = lines.next().and_then(|line| line.parse().ok());
        let address = address.ok_or_else(|| format!("gorgo proxy ({policy}) does not listen"))?;
        let name = format!("gorgo {policy}");
        Ok(Self { name, address, process: Some(process), _files: Some(files) })
    }

    /// sglang-router, from an interpreter that has it.
    pub fn sglang_router(mocks: &Mocks, python: &str, policy: &str) -> Result<Self, String> {
        let (port, metrics) = (free_port()?, free_port()?);
        let mut command = Command::new(python);
        command.args(["-m", "sglang_router.launch_router", "--policy", policy]);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--prometheus-port", &metrics.to_string(), "--log-level", "warn"]);
        command.arg("--worker-urls");
        command.args(mocks.addresses.iter().map(|address| format!("http://{address}")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{python}: {error}"))?;
        let process = Process(child);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        await_completions(address)?;
        let name = format!("sglang-router {policy}");
        Ok(Self { name, address, process: Some(process), _files: None })
    }

    /// Memory that its process has in use, in MiB.
    pub fn memory_mib(&self) -> Option<f64> {
        let Process(child) = self.process.as_ref()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    }

    /// CPU time that its process has used, threads and all, in seconds; 0 for the replica itself.
    pub fn cpu_s(&self) -> f64 {
        /// Linux counts in hundredths for every program (`sysconf(_SC_CLK_TCK)`).
        const TICKS_PER_S: f64 = 100.0;
        let Some(Process(child)) = &self.process else { return 0.0 };
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        // The name in brackets may have blanks; user and system time are the 12th and 13th field after it.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
            / TICKS_PER_S
    }
}

/// Another process of this program, and the lines that it prints.
fn own(args: &[&str]) -> Result<(Process, impl Iterator<Item = String> + use<>), String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.map_err(|error| error.to_string())?);
    let out = process.0.stdout.take().ok_or("no output")?;
    Ok((process, BufReader::new(out).lines().map_while(Result::ok)))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// Waits until completions are answered: a router may listen before it knows its replicas.
fn await_completions(address: SocketAddr) -> Result<(), String> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if completes(address).unwrap_or(false) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(format!("nobody answers at {address}"))
}

fn completes(address: SocketAddr) -> std::io::Result<bool> {
    use std::io::Write;
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
    let body =
        "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    write!(
        tcp,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

/// Runs the proxy until standard input ends.
pub fn serve_proxy(path: &str) -> Result<(), String> {
    let config =
        gorgo_proxy::Config::from_file(path.as_ref()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let running = gorgo_proxy::start(config).await.map_err(|error| error.to_string())?;
        println!("{}", running.address());
        until_input_ends().await;
        running.shutdown().await;
        Ok(())
    })
}

pub async fn until_input_ends() {
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
}

//! `gorgo proxy`: the reverse proxy in front of a fleet. All of it is the crate `gorgo-proxy`; here are the file, the
//! signals and the last words.

use crate::exit::{Exit, Failure};
use std::path::PathBuf;

/// Arguments of `gorgo proxy`.
#[derive(Debug, clap::Args)]
pub struct ProxyArgs {
    /// The configuration: listeners, policy, fleet (src/proxy/README.md).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only say whether the configuration is good.
    #[arg(long)]
    check: bool,
    /// Log lines as JSON. What is logged is set by the environment variable RUST_LOG; by default, `info`.
    #[arg(long)]
    log_json: bool,
}

#[cfg(not(feature = "live"))]
pub fn proxy(args: &ProxyArgs) -> Result<Exit, Failure> {
    let ProxyArgs { config: _, check: _, log_json: _ } = args;
    Err(Failure::lacks_live("proxy"))
}

/// Runs the command: until SIGTERM or SIGINT, after which answers that have begun may end. SIGHUP reads the file again.
#[cfg(feature = "live")]
pub fn proxy(args: &ProxyArgs) -> Result<Exit, Failure> {
    use gorgo_proxy::Config;
    let config = Config::from_file(&args.config).map_err(Failure::input)?;
    if args.check {
        println!("{}: good, {} replicas", args.config.display(), config.replicas.len());
        return Ok(Exit::Ok);
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if args.log_json {
        log.json().init()
    } else {
        log.init()
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(serve(args, config))
}

#[cfg(feature = "live")]
async fn serve(args: &ProxyArgs, config: gorgo_proxy::Config) -> Result<Exit, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let on = |kind| signal(kind).map_err(Failure::failed);
    let (mut term, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut hang_up = on(SignalKind::hangup())?;
    let running = gorgo_proxy::start(config).await.map_err(Failure::failed)?;
    eprintln!("serving on {}", running.address());
    if let Some(admin) = running.admin_address() {
        eprintln!("admin API on {admin}");
    }
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(args, &running),
        }
    }
    eprintln!("{}: stopping, answers that have begun may end", args.config.display());
    running.shutdown().await;
    Ok(Exit::Ok)
}

/// Reads the file again; where it is wrong, everything stays.
#[cfg(feature = "live")]
fn reload(args: &ProxyArgs, running: &gorgo_proxy::Running) {
    let read = gorgo_proxy::Config::from_file(&args.config).map_err(|error| error.to_string());
    match read.and_then(|config| running.reload(config).map_err(|error| error.to_string())) {
        Ok(()) => eprintln!("{}: read again", args.config.display()),
        Err(error) => eprintln!("error: {error}\nnothing has changed"),
    }
}

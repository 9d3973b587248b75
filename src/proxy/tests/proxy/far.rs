//! Replicas and clients far away: a proxy between costs no round trip more than the one there is.

use crate::support::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One way of the link.
const ONE_WAY: Duration = Duration::from_millis(20);

/// A link: what comes in goes out so much later, in order. Its sockets acknowledge as they like, as a client's do.
async fn link(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(to).await else { continue };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out));
            tokio::spawn(carry(far_in, near_out));
        }
    });
    address
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (under_way, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let _ = under_way.send((Instant::now() + ONE_WAY, bytes[..read].to_vec()));
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = arriving.recv().await {
            tokio::time::sleep_until(at.into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// A replica that writes its head and each of 16 events by itself.
async fn streams() -> Mock {
    Mock::start(|_, tcp| async move {
        let mut tcp = tcp.lock().await;
        if tcp.write_all(STREAM_HEAD.as_bytes()).await.is_err() {
            return false;
        }
        for n in 0..16 {
            tokio::task::yield_now().await;
            if tcp.write_all(chunk(&event(&format!("w{n} "))).as_bytes()).await.is_err() {
                return false;
            }
        }
        tcp.write_all(b"0\r\n\r\n").await.is_ok()
    })
    .await
}

/// The best of some short streams on one connection: what every one of them pays is in it, a busy machine's delays are
/// not.
async fn best(address: SocketAddr) -> Duration {
    let mut client = Client::at(address).await;
    let mut best = Duration::MAX;
    for turn in 0..12 {
        let began = Instant::now();
        client.post(ASK).await;
        client.chunked().await;
        if turn > 0 {
            best = best.min(began.elapsed());
        }
    }
    best
}

#[tokio::test]
async fn a_link_of_40_ms_is_paid_once_whichever_side_of_the_proxy_it_lies() {
    let mock = streams().await;
    let near = proxy("", &[&mock]).await;
    let before = best(link(near.address()).await).await;
    let far = link(mock.address).await;
    let beyond = start(&format!(
        "listen = \"127.0.0.1:0\"\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"far\"\nurl = \"http://{far}\"\n"
    ))
    .await;
    let behind = best(beyond.address()).await;
    println!("client far away: {before:?}, replica far away: {behind:?}");
    for took in [before, behind] {
        // A round trip more, or a delayed acknowledgement, would make it 80.
        assert!(took >= 2 * ONE_WAY && took < 2 * ONE_WAY + Duration::from_millis(30), "{took:?}");
    }
    near.shutdown().await;
    beyond.shutdown().await;
}

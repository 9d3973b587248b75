//! A proxy in each region: local first, one hop at most, and no loops.

use crate::support::*;
use gorgo_proxy::{Config, Running};

async fn good() -> Mock {
    Mock::fixed(whole("200 OK", "application/json", "{}")).await
}

/// A proxy of a region; replicas and peers are regions with addresses.
async fn of_region(
    region: &str,
    more: &str,
    replicas: &[(&str, String)],
    peers: &[(&str, String)],
) -> Running {
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nregion = \"{region}\"\npolicy = \"round-robin\"\n[probe]\noff = true\n[scrape]\noff = true\n[log]\ndecision_headers = true\n{more}"
    );
    for (region, address) in replicas {
        text += &format!(
            "[[replica]]\nname = \"in-{region}\"\nregion = \"{region}\"\nurl = \"http://{address}\"\n"
        );
    }
    for (region, address) in peers {
        text += &format!("[[peer]]\nregion = \"{region}\"\nurl = \"http://{address}\"\n");
    }
    start(&text).await
}

/// Asks with these headers: status, and the replica that the proxy says.
async fn ask(client: &mut Client, headers: &str) -> (u16, Option<String>) {
    client.send(&post("/v1/completions", headers, "{\"prompt\":\"x\"}")).await;
    let (head, _) = client.answer().await;
    (head[9..12].parse().unwrap(), header(&head, "x-gorgo-replica").map(str::to_owned))
}

#[tokio::test]
async fn what_another_region_gets_comes_through_its_proxy_and_goes_no_further() {
    let (a, b) = (good().await, good().await);
    let eu = of_region("eu", "[router.per_region]\n", &[("eu", b.address.to_string())], &[]).await;
    let fleet = [("us", a.address.to_string()), ("eu", b.address.to_string())];
    let peers = [("eu", eu.address().to_string())];
    let us = of_region("us", "[router.per_region]\n", &fleet, &peers).await;
    let mut client = Client::to(&us).await;
    for _ in 0..4 {
        assert_eq!(ask(&mut client, "").await.0, 200);
    }
    let hops = |mock: &Mock| {
        mock.seen().iter().map(|s| s.header("x-gorgo-hops").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(hops(&a), [None, None], "its own it serves itself");
    assert_eq!(hops(&b), [Some("1".to_owned()), Some("1".to_owned())]);
    // What has made its hop stays, although it would be the other's turn.
    for _ in 0..4 {
        let (status, replica) = ask(&mut client, "x-gorgo-hops: 1\r\n").await;
        assert_eq!((status, replica.as_deref()), (200, Some("in-us")));
    }
    assert_eq!((a.seen().len(), b.seen().len()), (6, 2));
    assert_eq!(ask(&mut client, "x-gorgo-hops: 2\r\n").await.0, 508);
    for wrong in ["x", "-1", "1.0", "99999999999"] {
        let status = ask(&mut client, &format!("x-gorgo-hops: {wrong}\r\n")).await.0;
        assert_eq!(status, 400, "{wrong}");
    }
    assert_eq!((a.seen().len(), b.seen().len()), (6, 2));
    us.shutdown().await;
    eu.shutdown().await;
}

#[tokio::test]
async fn two_that_point_at_each_other_do_not_send_in_circles() {
    let down = Mock::fixed(whole("503 Service Unavailable", "text/plain", "no")).await;
    let both = |us: &str, eu: &str| [("us", us.to_owned()), ("eu", eu.to_owned())];
    // The port of the second is not known before the first has started, so it is taken and given up.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let us_at = free.local_addr().unwrap().to_string();
    drop(free);
    let fleet = both(&down.address.to_string(), &down.address.to_string());
    let per_region = "[router]\nqueue_timeout = \"2s\"\n[router.per_region]\n";
    let eu = of_region("eu", per_region, &fleet, &[("us", us_at.clone())]).await;
    let mut us = Config::parse("us.toml", &format!(
        "listen = \"{us_at}\"\nregion = \"us\"\npolicy = \"round-robin\"\n[probe]\noff = true\n[scrape]\noff = true\n{per_region}[[replica]]\nname = \"a\"\nregion = \"us\"\nurl = \"http://{0}\"\n[[replica]]\nname = \"b\"\nregion = \"eu\"\nurl = \"http://{0}\"\n[[peer]]\nregion = \"eu\"\nurl = \"http://{1}\"\n",
        down.address, eu.address()
    )).unwrap();
    us.attempts = 3;
    let us = gorgo_proxy::start(us).await.unwrap();
    let mut client = Client::to(&us).await;
    let (status, _) = ask(&mut client, "").await;
    assert_eq!(status, 503);
    let seen = down.seen();
    assert_eq!(seen.len(), 2, "once by each proxy");
    us.shutdown().await;
    eu.shutdown().await;
}

#[tokio::test]
async fn a_region_serves_what_it_has_room_for() {
    let slow = Mock::start(|_, tcp| async move {
        use tokio::io::AsyncWriteExt;
        pause(1_500).await;
        tcp.lock().await.write_all(whole("200 OK", "text/plain", "").as_bytes()).await.is_ok()
    })
    .await;
    let far = good().await;
    let eu =
        of_region("eu", "[router.per_region]\n", &[("eu", far.address.to_string())], &[]).await;
    let more = "[router]\nmax_in_flight_per_replica = 1\n[router.per_region]\nmay_wait = false\nlocal_first = {}\n";
    let fleet = [("us", slow.address.to_string()), ("eu", far.address.to_string())];
    let us = of_region("us", more, &fleet, &[("eu", eu.address().to_string())]).await;
    let mut first = Client::to(&us).await;
    first.post("{\"prompt\":\"x\"}").await;
    eventually(|| us.load().0 == 1).await;
    // It is full now: what comes next goes on, and no further than there.
    let mut client = Client::to(&us).await;
    assert_eq!(ask(&mut client, "").await, (200, Some("in-eu".to_owned())));
    first.answer().await;
    let mut again = Client::to(&us).await;
    assert_eq!(ask(&mut again, "").await.1.as_deref(), Some("in-us"), "there is room again");
    assert_eq!((slow.seen().len(), far.seen().len()), (2, 1));
    us.shutdown().await;
    eu.shutdown().await;
}

#[test]
fn regions_that_cannot_be_reached_are_refused() {
    let replica = |region: &str| {
        format!("[[replica]]\nname = \"{region}\"\nregion = \"{region}\"\nurl = \"http://a\"\n")
    };
    let peer = |region: &str| format!("[[peer]]\nregion = \"{region}\"\nurl = \"http://b\"\n");
    let (us, eu) = (replica("us"), replica("eu"));
    for (text, word) in [
        (format!("[router.per_region]\n{us}"), "the key `region` too"),
        (format!("region = \"us\"\n[router.per_region]\n{us}{eu}"), "a [[peer]] for its region"),
        (format!("region = \"us\"\n{us}{}", peer("eu")), "router.per_region too"),
        (format!("region = \"us\"\n[router.per_region]\n{us}{}", peer("us")), "\"us\" itself"),
        (
            format!("region = \"us\"\n[router.per_region]\n{us}{}{}", peer("eu"), peer("eu")),
            "a second time",
        ),
        ("region = \"us\"\n[router.per_region]\nmax_hops = 2\n".to_owned(), "wanted 0 or 1"),
        (
            "region = \"us\"\n[router.per_region]\nlocal_first = { kv_share_below = 0.0 }\n"
                .to_owned(),
            "above 0",
        ),
        ("region = \"us\"\n[router.per_region]\nhops = 1\n".to_owned(), "hops"),
    ] {
        let error = Config::parse("proxy.toml", &text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
    let alone = format!("region = \"us\"\n[router.per_region]\nmax_hops = 0\n{us}{eu}");
    assert!(Config::parse("proxy.toml", &alone).is_ok(), "nothing is passed on");
}

//! What the device needs to know of an IPv4 packet, and the one change that it makes: the two addresses trade places. No
//! checksum changes by that, since they are sums. What cannot be read is no packet of ours.

use std::net::Ipv4Addr;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub kind: Kind,
}

/// What it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A segment between two ports: the first of a connection, or one with so many bytes of data.
    Tcp { from: u16, to: u16, opens: bool, data: usize },
    /// A ping, or the answer to one.
    Echo { answers: bool },
}

const TCP: u8 = 6;
const ICMP: u8 = 1;

impl Packet {
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<20>()?;
        let header = usize::from(head[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
        // Version 4; a header that is there; neither the first nor a later part of several.
        let whole = u16::from_be_bytes([head[6], head[7]]) & 0x3fff == 0;
        if head[0] >> 4 != 4 || header < 20 || total != bytes.len() || !whole {
            return None;
        }
        let address = |at: usize| Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]);
        let inner = bytes.get(header..)?;
        let kind = match head[9] {
            TCP => tcp(inner)?,
            ICMP => match inner.first()? {
                8 => Kind::Echo { answers: false },
                0 => Kind::Echo { answers: true },
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { from: address(12), to: address(16), kind })
    }
}

fn tcp(segment: &[u8]) -> Option<Kind> {
    let head = segment.first_chunk::<20>()?;
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let data = segment.len().checked_sub(usize::from(head[12] >> 4) * 4)?;
    let (syn, ack) = (head[13] & 0x02 != 0, head[13] & 0x10 != 0);
    Some(Kind::Tcp { from: port(0), to: port(2), opens: syn && !ack, data })
}

/// Has the addresses trade places. The packet was read: it has a header.
pub(super) fn turn_round(bytes: &mut [u8]) {
    if let Some(addresses) = bytes.get_mut(12..20) {
        let (from, to) = addresses.split_at_mut(4);
        from.swap_with_slice(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, inner: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + inner.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
        bytes.extend([198, 18, 0, 1, 198, 18, 1, 7]);
        bytes.extend(inner);
        bytes
    }

    fn segment(flags: u8, data: usize) -> Vec<u8> {
        let mut bytes = vec![0x30, 0x39, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags];
        bytes.resize(20 + data, 0);
        bytes
    }

    #[test]
    fn segments_and_pings_are_read() {
        let read = Packet::read(&packet(TCP, &segment(0x02, 0))).unwrap();
        assert_eq!((read.from, read.to), ([198, 18, 0, 1].into(), [198, 18, 1, 7].into()));
        assert_eq!(read.kind, Kind::Tcp { from: 12_345, to: 8_080, opens: true, data: 0 });
        let read = Packet::read(&packet(TCP, &segment(0x12, 9))).unwrap();
        assert_eq!(read.kind, Kind::Tcp { from: 12_345, to: 8_080, opens: false, data: 9 });
        let ping = Packet::read(&packet(ICMP, &[8, 0, 0, 0])).unwrap();
        assert_eq!(ping.kind, Kind::Echo { answers: false });
    }

    #[test]
    fn what_is_no_packet_of_ours_is_none() {
        let good = packet(TCP, &segment(0x10, 4));
        for length in 0..good.len() {
            assert_eq!(Packet::read(&good[..length]), None, "{length} bytes of it");
        }
        for (at, byte) in [(0, 0x65), (0, 0x44), (0, 0x4f), (6, 0x20), (7, 1), (9, 17), (32, 0xf0)]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Packet::read(&bad), None, "byte {at} is {byte}");
        }
        assert_eq!(Packet::read(&packet(ICMP, &[3])), None);
        assert_eq!(Packet::read(&packet(ICMP, &[])), None);
    }

    #[test]
    fn turned_round_it_sums_up_to_the_same() {
        let mut bytes = packet(TCP, &segment(0x02, 3));
        let sum = |bytes: &[u8]| {
            bytes
                .chunks(2)
                .map(|b| u64::from(b[0]) << 8 | u64::from(*b.get(1).unwrap_or(&0)))
                .sum::<u64>()
        };
        let before = sum(&bytes);
        turn_round(&mut bytes);
        assert_eq!(sum(&bytes), before);
        let read = Packet::read(&bytes).unwrap();
        assert_eq!((read.from, read.to), ([198, 18, 1, 7].into(), [198, 18, 0, 1].into()));
        turn_round(&mut []);
    }
}

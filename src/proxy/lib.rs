//! A reverse proxy around the routing crate: sockets and clocks here, decisions there.

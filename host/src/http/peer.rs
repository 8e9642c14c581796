//! From where a request comes: the address of its connection, or what a proxy that is trusted says it was.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hookyard_domain::address::Cidr;
use http::{Extensions, HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection; an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Proxies whose word is believed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[Cidr]>);

impl TrustedProxies {
    pub fn new(ranges: Vec<Cidr>) -> Self {
        Self(ranges.into())
    }

    /// The caller's address. Each proxy adds the address it was called from at the end of `X-Forwarded-For`, so the last one
    /// that is not a trusted proxy is the caller; what comes before it, anybody could have written.
    pub fn caller(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let Peer(mut caller) = *extensions.get::<Peer>()?;
        let named: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for address in named.into_iter().rev() {
            if !self.trusts(caller) {
                break;
            }
            let Some(address) = read(address) else { break };
            caller = address;
        }
        Some(caller)
    }

    /// Who a limit counts: an IPv4 address, or the 64 bits of an IPv6 one that one customer is commonly given, for within these
    /// anybody may take as many addresses as they like.
    pub fn counted(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[8..].fill(0);
                IpAddr::from(octets)
            }
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        // A listener of both kinds tells an IPv4 address as an IPv6 one.
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(address))
    }
}

/// An address, with a port as some proxies add it, or without.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a range")]);
        for (peer, forwarded, caller) in [
            ("203.0.113.9", None, "203.0.113.9"),
            ("203.0.113.9", Some("198.51.100.1"), "203.0.113.9"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("10.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
            ("10.0.0.1", Some("192.0.2.7, 198.51.100.1"), "198.51.100.1"),
            ("10.0.0.1", Some("192.0.2.7, 198.51.100.1, 10.9.9.9"), "198.51.100.1"),
            ("10.0.0.1", Some("unknown"), "10.0.0.1"),
            ("10.0.0.1", Some("2001:db8::1"), "2001:db8::1"),
            ("10.0.0.1", Some("198.51.100.1:4711"), "198.51.100.1"),
            ("10.0.0.1", Some("[2001:db8::1]:4711"), "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert(FORWARDED_FOR, forwarded.parse().expect("a header value"));
            }
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().expect("an address")));
            let expected: IpAddr = caller.parse().expect("an address");
            assert_eq!(proxies.caller(&headers, &extensions), Some(expected), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_limit_counts_a_customers_ipv6_addresses_as_one() {
        for (address, counted) in [
            ("198.51.100.1", "198.51.100.1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let read = |text: &str| -> IpAddr { text.parse().expect("an address") };
            assert_eq!(TrustedProxies::counted(read(address)), read(counted), "{address}");
        }
    }
}

//! Where a delivery may go: the addresses of the public internet and nothing else.
//!
//! Anyone may write an endpoint's URL, and whoever owns its host name can let it resolve to another address at every
//! look-up. So each address is checked just before a connection is made to it (promise E1). This file only answers whether
//! an address is allowed, from one table of all ranges that the registries of IANA list as special. The first row of the
//! table that holds the address decides what it is called, so a narrow range comes before a wider one around it.
//!
//! An IPv4 address inside an IPv6 address is checked too:
//!
//! * IPv4-mapped (`::ffff:0:0/96`) is another spelling of the IPv4 address, and the connection is made over IPv4. Such an
//!   address is replaced by the IPv4 address before the check.
//! * NAT64, 6to4, Teredo, IPv4-compatible and IPv4-translated addresses are refused whatever is inside them. A gateway takes
//!   the IPv4 address out of them where we cannot see it, perhaps within our own network. A receiver with a public IPv4
//!   address has an A record and needs none of these. An operator whose network has nothing but NAT64 can allow it; the
//!   address inside is checked even then.
//!
//! Not seen here: a translation prefix that an operator chose for their own network (RFC 6052, section 2.2), ISATAP interface
//! ids, and what a public address forwards to. The first two are for the operator's own packet filter.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

/// A range of addresses: those that share their first `prefix_bits` bits with the network address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// It is not `address/bits`, nor an address alone.
    #[error("an address range is written like 10.20.0.0/16 or fd12:3456::/48")]
    Syntax,
    /// The prefix is longer than the address.
    #[error("an address of this kind has at most {bits_max} prefix bits, not {bits}")]
    PrefixTooLong {
        /// The bits asked for.
        bits: u8,
        /// 32 or 128.
        bits_max: u8,
    },
    /// The address has bits beyond its prefix, so either the address or the prefix is wrong.
    #[error("the address has bits beyond its {bits} prefix bits; the range begins at {network}")]
    HostBits {
        /// The bits asked for.
        bits: u8,
        /// The network address that this many bits leave.
        network: IpAddr,
    },
    /// The range lies within the IPv4-mapped addresses, which are checked as IPv4 and would never match.
    #[error("IPv4-mapped addresses are checked as IPv4: write the IPv4 range")]
    Mapped,
}

impl Cidr {
    /// Reads `address/bits`, or an address alone for a range of one.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(parse_prefix_bits(bits).ok_or(CidrError::Syntax)?)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| CidrError::Syntax)?;
        let bits_max = address_bits(network);
        let prefix_bits = bits.unwrap_or(bits_max);
        if prefix_bits > bits_max {
            return Err(CidrError::PrefixTooLong {
                bits: prefix_bits,
                bits_max,
            });
        }
        let masked = masked(network, prefix_bits);
        if masked != network {
            return Err(CidrError::HostBits {
                bits: prefix_bits,
                network: masked,
            });
        }
        if network.to_canonical() != network && prefix_bits >= MAPPED_PREFIX_BITS {
            return Err(CidrError::Mapped);
        }
        Ok(Self { network, prefix_bits })
    }

    /// Whether the address lies in the range. An IPv4 address never lies in an IPv6 range, nor the other way round.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix_bits) == self.network
    }
}

/// IPv4-mapped addresses are `::ffff:0:0/96` (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX_BITS: u8 = 96;

/// Digits only: `u8::from_str` would accept a plus sign.
fn parse_prefix_bits(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

const fn address_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Clears all but the first `bits` bits.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cidr({self})")
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        Self::parse(text)
    }
}

/// Whether deliveries may go to the node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loopback {
    /// They may not: what listens on a loopback address trusts its callers.
    #[default]
    Refused,
    /// They may, for a test whose receiver runs on the same machine.
    AllowedForTests,
}

/// Which addresses deliveries may go to. The default is the public internet and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Whether `127.0.0.0/8` and `::1` are open.
    pub loopback: Loopback,
    /// The operator's explicit exceptions, e.g. the one private range their receivers live in.
    pub allowed: Vec<Cidr>,
}

/// An address that deliveries may not go to, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// The address that was asked about, or the IPv4 address inside it where that alone is the reason.
    pub address: IpAddr,
    /// The range that holds it, e.g. `10.0.0.0/8`.
    pub range: &'static str,
    /// What the range is, e.g. `private`.
    pub name: &'static str,
    /// Where that is written, e.g. `RFC 1918`.
    pub source: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} ({}, {})", self.address, self.name, self.range, self.source)
    }
}

impl std::error::Error for Forbidden {}

impl AddressPolicy {
    /// Checks one address. To be asked just before a connection is made to this very address.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let judged = address.to_canonical();
        self.check_as_is(judged).map_err(|forbidden| Forbidden { address, ..forbidden })?;
        match embedded_ipv4(judged) {
            Some(embedded) => self.check_as_is(IpAddr::V4(embedded)),
            None => Ok(()),
        }
    }

    fn check_as_is(&self, address: IpAddr) -> Result<(), Forbidden> {
        if self.loopback == Loopback::AllowedForTests && address.is_loopback() {
            return Ok(());
        }
        if self.allowed.iter().any(|exception| exception.contains(address)) {
            return Ok(());
        }
        match RANGES.iter().find(|(cidr, _)| cidr.contains(address)) {
            Some((_, row)) => Err(Forbidden {
                address,
                range: row.range,
                name: row.name,
                source: row.source,
            }),
            None => Ok(()),
        }
    }
}

/// The IPv4 address that a gateway on the way would take out of this one.
fn embedded_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let bits = v6.to_bits();
    let low_32 = Ipv4Addr::from_bits(bits as u32);
    match v6.segments() {
        // IPv4-compatible (RFC 4291, section 2.5.5.1). Its first two, `::` and `::1`, do not belong to it.
        [0, 0, 0, 0, 0, 0, ..] if bits > 1 => Some(low_32),
        // IPv4-translated (RFC 2765, section 2.1).
        [0, 0, 0, 0, 0xffff, 0, ..] => Some(low_32),
        // NAT64: the well-known prefix (RFC 6052, section 2.1), and the local one (RFC 8215) as if it were a /96.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(low_32),
        // Teredo: the client's address with every bit inverted (RFC 4380, section 4).
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!(bits as u32))),
        // 6to4: bits 16..48 (RFC 3056, section 2).
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}

#[derive(Debug)]
struct Row {
    range: &'static str,
    name: &'static str,
    source: &'static str,
}

const fn row(range: &'static str, name: &'static str, source: &'static str) -> Row {
    Row { range, name, source }
}

/// The table with its ranges read, once per process.
static RANGES: LazyLock<Vec<(Cidr, &'static Row)>> = LazyLock::new(|| {
    let cidr = |row: &Row| Cidr::parse(row.range).expect("every row of the table is a range, which a test checks");
    FORBIDDEN.iter().map(|row| (cidr(row), row)).collect()
});

/// Every range in which there is no public receiver, narrow before wide.
///
/// From the IANA registries of IPv4 and IPv6 special-purpose addresses (RFC 6890), of multicast, and of the IPv6 address
/// space. Some of these ranges are globally reachable (AS112, AMT, 6to4 relays) and are here because no webhook receiver
/// can be in them.
const FORBIDDEN: &[Row] = &[
    row("0.0.0.0/8", "this network", "RFC 791"),
    row("10.0.0.0/8", "private", "RFC 1918"),
    row("100.64.0.0/10", "shared by a carrier's customers (CGNAT)", "RFC 6598"),
    row("127.0.0.0/8", "loopback", "RFC 1122"),
    // A public address in name only: Azure answers it inside every virtual machine, with the machine's certificates.
    row("168.63.129.16/32", "a cloud platform's host service", "Azure documentation"),
    row("169.254.169.254/32", "a cloud metadata service", "RFC 3927"),
    row("169.254.0.0/16", "link-local", "RFC 3927"),
    row("172.16.0.0/12", "private", "RFC 1918"),
    row("192.0.0.0/24", "reserved for protocol assignments", "RFC 6890"),
    row("192.0.2.0/24", "for documentation (TEST-NET-1)", "RFC 5737"),
    row("192.31.196.0/24", "an AS112 sink", "RFC 7535"),
    row("192.52.193.0/24", "a multicast relay (AMT)", "RFC 7450"),
    row("192.88.99.0/24", "a 6to4 relay", "RFC 7526"),
    row("192.168.0.0/16", "private", "RFC 1918"),
    row("192.175.48.0/24", "an AS112 sink", "RFC 7534"),
    row("198.18.0.0/15", "for benchmarks", "RFC 2544"),
    row("198.51.100.0/24", "for documentation (TEST-NET-2)", "RFC 5737"),
    row("203.0.113.0/24", "for documentation (TEST-NET-3)", "RFC 5737"),
    row("224.0.0.0/4", "multicast", "RFC 5771"),
    row("255.255.255.255/32", "broadcast", "RFC 919"),
    row("240.0.0.0/4", "reserved", "RFC 1112"),
    row("::/128", "unspecified", "RFC 4291"),
    row("::1/128", "loopback", "RFC 4291"),
    row("::/96", "an IPv4-compatible address", "RFC 4291"),
    row("::ffff:0:0:0/96", "an IPv4-translated address", "RFC 2765"),
    row("64:ff9b::/96", "a NAT64 address", "RFC 6052"),
    row("64:ff9b:1::/48", "a local NAT64 address", "RFC 8215"),
    row("100::/64", "discarded", "RFC 6666"),
    row("100:0:0:1::/64", "a dummy address", "RFC 9780"),
    row("2001::/32", "a Teredo address", "RFC 4380"),
    row("2001:2::/48", "for benchmarks", "RFC 5180"),
    row("2001:3::/32", "a multicast relay (AMT)", "RFC 7450"),
    row("2001:4:112::/48", "an AS112 sink", "RFC 7535"),
    row("2001:10::/28", "an identifier, not a place (ORCHID)", "RFC 4843"),
    row("2001:20::/28", "an identifier, not a place (ORCHIDv2)", "RFC 7343"),
    row("2001:30::/28", "an identifier, not a place (drone remote id)", "RFC 9374"),
    row("2001::/23", "reserved for protocol assignments", "RFC 2928"),
    row("2001:db8::/32", "for documentation", "RFC 3849"),
    row("2002::/16", "a 6to4 address", "RFC 3056"),
    row("2620:4f:8000::/48", "an AS112 sink", "RFC 7534"),
    row("3fff::/20", "for documentation", "RFC 9637"),
    row("5f00::/16", "a segment identifier (SRv6)", "RFC 9602"),
    row("fd00:ec2::254/128", "a cloud metadata service", "AWS documentation"),
    row("fd20:ce::254/128", "a cloud metadata service", "Google Cloud documentation"),
    row("fc00::/7", "private (unique local)", "RFC 4193"),
    row("fe80::/10", "link-local", "RFC 4291"),
    row("fec0::/10", "site-local", "RFC 3879"),
    row("ff00::/8", "multicast", "RFC 4291"),
    // Only 2000::/3 has been handed out; these three are the rest of the address space.
    row("::/3", "outside global unicast", "RFC 4291"),
    row("4000::/2", "outside global unicast", "RFC 4291"),
    row("8000::/1", "outside global unicast", "RFC 4291"),
];

#[cfg(test)]
mod tests;

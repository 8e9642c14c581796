//! Every row is tried at its edges and inside, by tables and at random; the neighbours of each row show that it is not wider
//! than it says.

use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is not an address"))
}

fn policy_allowing(ranges: &[&str]) -> AddressPolicy {
    let allowed = ranges.iter().map(|text| Cidr::parse(text).unwrap()).collect();
    AddressPolicy {
        loopback: Loopback::Refused,
        allowed,
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address_like(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

fn last_of(cidr: Cidr) -> IpAddr {
    let host_bits = u32::from(address_bits(cidr.network) - cidr.prefix_bits);
    let host_mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
    address_like(cidr.network, bits_of(cidr.network) | host_mask)
}

fn is_refused(address: IpAddr) -> bool {
    AddressPolicy::default().check(address).is_err()
}

fn any_row() -> impl Strategy<Value = (Cidr, &'static Row)> {
    (0..FORBIDDEN.len()).prop_map(|index| RANGES[index])
}

#[test]
fn every_row_is_a_range_and_none_is_hidden_by_one_above_it() {
    for row in FORBIDDEN {
        let cidr = Cidr::parse(row.range).unwrap_or_else(|error| panic!("{}: {error}", row.range));
        assert_eq!(cidr.to_string(), row.range);
        let (first, last) = (bits_of(cidr.network), bits_of(last_of(cidr)));
        let tried = [first, first.saturating_add(1).min(last), first + (last - first) / 2, last];
        let named = tried.map(|bits| AddressPolicy::default().check(address_like(cidr.network, bits)).unwrap_err().range);
        assert!(named.contains(&row.range), "{} is hidden by {named:?}", row.range);
    }
}

#[test]
fn public_addresses_pass_and_the_neighbours_of_every_ipv4_row_do_too() {
    for text in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.31.195.255",
        "192.31.197.0",
        "192.52.192.255",
        "192.52.194.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "8.8.8.8",
        "93.184.215.14",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(AddressPolicy::default().check(ip(text)), Ok(()), "{text}");
    }
}

#[test]
fn the_neighbours_of_the_ipv6_rows_in_global_unicast_pass() {
    for text in [
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2003::",
        "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8001::",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
    ] {
        assert_eq!(AddressPolicy::default().check(ip(text)), Ok(()), "{text}");
    }
}

#[test]
fn a_refusal_says_which_range_and_where_it_is_written() {
    for (text, says) in [
        ("10.0.0.7", "10.0.0.7 is private (10.0.0.0/8, RFC 1918)"),
        (
            "169.254.169.254",
            "169.254.169.254 is a cloud metadata service (169.254.169.254/32, RFC 3927)",
        ),
        ("169.254.1.1", "169.254.1.1 is link-local (169.254.0.0/16, RFC 3927)"),
        ("255.255.255.255", "255.255.255.255 is broadcast (255.255.255.255/32, RFC 919)"),
        ("::ffff:10.0.0.7", "::ffff:10.0.0.7 is private (10.0.0.0/8, RFC 1918)"),
        ("::1", "::1 is loopback (::1/128, RFC 4291)"),
        ("::", ":: is unspecified (::/128, RFC 4291)"),
        ("::a00:7", "::10.0.0.7 is an IPv4-compatible address (::/96, RFC 4291)"),
        ("64:ff9b::808:808", "64:ff9b::808:808 is a NAT64 address (64:ff9b::/96, RFC 6052)"),
        (
            "fd00:ec2::254",
            "fd00:ec2::254 is a cloud metadata service (fd00:ec2::254/128, AWS documentation)",
        ),
        ("fd12::1", "fd12::1 is private (unique local) (fc00::/7, RFC 4193)"),
        ("4000::1", "4000::1 is outside global unicast (4000::/2, RFC 4291)"),
        ("2001:5::1", "2001:5::1 is reserved for protocol assignments (2001::/23, RFC 2928)"),
    ] {
        let forbidden = AddressPolicy::default().check(ip(text)).unwrap_err();
        let display = forbidden.to_string();
        // How an IPv4-compatible address is written is the standard library's choice.
        assert!(display == says || display == says.replace("::10.0.0.7", "::a00:7"), "{display}");
    }
}

#[test]
fn nothing_is_refused_for_its_family_alone_and_nothing_special_slips_through() {
    let policy = AddressPolicy::default();
    let outside_2000 = (0..=0xffff_u32)
        .step_by(0x100)
        .map(|top| Ipv6Addr::from_bits(u128::from(top) << 112 | 1 << 100));
    for address in outside_2000.filter(|address| address.segments()[0] >> 13 != 1) {
        assert!(policy.check(address.into()).is_err(), "{address}");
    }
}

#[test]
fn loopback_opens_for_tests_and_nothing_else_does() {
    let policy = AddressPolicy {
        loopback: Loopback::AllowedForTests,
        allowed: vec![],
    };
    for text in ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(policy.check(ip(text)), Ok(()), "{text}");
        assert!(is_refused(ip(text)), "{text}");
    }
    for text in ["10.0.0.1", "0.0.0.0", "::", "::2", "169.254.169.254", "64:ff9b::7f00:1"] {
        assert!(policy.check(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn an_exception_opens_its_range_in_either_spelling_and_no_more() {
    let policy = policy_allowing(&["10.20.0.0/16", "fd12:3456::/48"]);
    for text in ["10.20.0.0", "10.20.255.255", "::ffff:10.20.1.1", "fd12:3456::1"] {
        assert_eq!(policy.check(ip(text)), Ok(()), "{text}");
    }
    for text in [
        "10.19.255.255",
        "10.21.0.0",
        "::ffff:10.21.0.0",
        "fd12:3456:1::",
        "::10.20.0.1",
        "2002:a14:1::",
    ] {
        assert!(policy.check(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn an_allowed_gateway_prefix_does_not_open_what_lies_behind_it() {
    let policy = policy_allowing(&[
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::/96",
        "::ffff:0:0:0/96",
    ]);
    for (public, private) in [
        ("64:ff9b::808:808", "64:ff9b::a00:7"),
        ("64:ff9b:1::808:808", "64:ff9b:1::a9fe:a9fe"),
        ("2002:808:808::1", "2002:7f00:1::1"),
        // Teredo clients 8.8.8.8 and 10.0.0.7, every bit turned over.
        ("2001::f7f7:f7f7", "2001::f5ff:fff8"),
        ("::808:808", "::a00:7"),
        ("::ffff:0:808:808", "::ffff:0:a00:7"),
    ] {
        assert_eq!(policy.check(ip(public)), Ok(()), "{public}");
        let forbidden = policy.check(ip(private)).unwrap_err();
        assert!(forbidden.address.is_ipv4(), "{forbidden}");
    }
}

#[test]
fn ranges_are_read_strictly() {
    for (text, error) in [
        ("", CidrError::Syntax),
        ("10.0.0.0/", CidrError::Syntax),
        ("10.0.0.0/+8", CidrError::Syntax),
        ("10.0.0.0/ 8", CidrError::Syntax),
        ("10.0.0.0/256", CidrError::Syntax),
        ("10.0.0/8", CidrError::Syntax),
        ("010.0.0.0/8", CidrError::Syntax),
        ("example.com/8", CidrError::Syntax),
        ("10.0.0.0/33", CidrError::PrefixTooLong { bits: 33, bits_max: 32 }),
        ("fd00::/129", CidrError::PrefixTooLong { bits: 129, bits_max: 128 }),
        (
            "10.0.0.1/8",
            CidrError::HostBits {
                bits: 8,
                network: ip("10.0.0.0"),
            },
        ),
        ("::ffff:10.0.0.0/104", CidrError::Mapped),
    ] {
        assert_eq!(Cidr::parse(text), Err(error), "{text}");
    }
    assert_eq!(Cidr::parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
    assert_eq!(Cidr::parse("fd00::1").unwrap().to_string(), "fd00::1/128");
    assert!(Cidr::parse("0.0.0.0/0").unwrap().contains(ip("255.1.2.3")));
    assert!(!Cidr::parse("::/0").unwrap().contains(ip("1.2.3.4")));
}

proptest! {
    #[test]
    fn every_address_of_every_row_is_refused((cidr, row) in any_row(), random: u128) {
        let host_mask = bits_of(last_of(cidr)) ^ bits_of(cidr.network);
        let address = address_like(cidr.network, bits_of(cidr.network) | (random & host_mask));
        // `::/3` holds the mapped spellings of public IPv4 addresses, which are checked as IPv4.
        prop_assume!(address.to_canonical() == address);
        prop_assert!(is_refused(address), "{address} of {}", row.range);
        prop_assert!(is_refused(cidr.network) && is_refused(last_of(cidr)));
    }

    #[test]
    fn a_mapped_address_is_checked_as_the_ipv4_address_it_is(bits: u32) {
        let plain = Ipv4Addr::from_bits(bits);
        let mapped = IpAddr::V6(plain.to_ipv6_mapped());
        prop_assert_eq!(is_refused(mapped), is_refused(plain.into()));
    }

    #[test]
    fn every_mapped_form_of_a_refused_ipv4_address_is_refused((cidr, _) in any_row(), random: u32) {
        if let IpAddr::V4(network) = cidr.network {
            let host_mask = bits_of(last_of(cidr)) as u32 ^ network.to_bits();
            let plain = Ipv4Addr::from_bits(network.to_bits() | (random & host_mask));
            prop_assert!(is_refused(plain.to_ipv6_mapped().into()), "{plain}");
        }
    }

    #[test]
    fn every_gateway_form_of_any_ipv4_address_is_refused(bits: u32, low: u128) {
        let low_80 = low & ((1 << 80) - 1);
        for form in [
            u128::from(bits),
            0xffff_u128 << 48 | u128::from(bits),
            0x0064_ff9b_u128 << 96 | u128::from(bits),
            0x2002_u128 << 112 | u128::from(bits) << 80 | low_80,
            0x2001_0000_u128 << 96 | low & (u128::MAX >> 32),
        ] {
            let address = IpAddr::V6(Ipv6Addr::from_bits(form));
            prop_assert!(is_refused(address), "{address}");
        }
    }

    #[test]
    fn what_passes_is_outside_every_row(bits: u128) {
        let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
        let in_a_row = RANGES.iter().any(|(cidr, _)| cidr.contains(address.to_canonical()));
        prop_assert_eq!(is_refused(address), in_a_row);
    }

    #[test]
    fn a_range_survives_its_text_and_holds_its_edges(bits: u128, prefix_bits in 0_u8..=128) {
        let network = masked(IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix_bits);
        prop_assume!(network.to_canonical() == network);
        let cidr = Cidr::parse(&format!("{network}/{prefix_bits}")).unwrap();
        prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
        prop_assert!(cidr.contains(network) && cidr.contains(last_of(cidr)));
        if let Some(beyond) = bits_of(last_of(cidr)).checked_add(1) {
            prop_assert!(!cidr.contains(address_like(network, beyond)));
        }
    }

    #[test]
    fn no_text_makes_reading_a_range_panic(text in any::<String>(), bits in 0_u16..300) {
        let _ = Cidr::parse(&text);
        let _ = Cidr::parse(&format!("10.0.0.0/{bits}"));
    }
}

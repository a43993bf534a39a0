//! Which addresses this server may connect to on behalf of somebody else: targets of webhooks, cameras.
//!
//! The policy is about addresses, not names: it is asked for each address that a name resolves to, and
//! the connection goes to exactly the address that was asked about. So a name that resolves to something
//! else a moment later changes nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP network, `10.0.0.0/8` or `fd00::/8`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError(String);

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            prefix,
        }
    }

    const fn v6(first: u16, second: u16, third: u16, prefix: u8) -> Self {
        Self {
            address: IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)),
            prefix,
        }
    }

    /// A network of mapped addresses (`::ffff:10.0.0.0/104`) as one of those that are inside, for addresses are
    /// compared without the mapping; `None` if it begins before the mapped ones and would hold none of them.
    fn canonical(self) -> Option<Self> {
        const MAPPED: u8 = 96;
        match (self.address, self.address.to_canonical()) {
            (IpAddr::V6(_), address @ IpAddr::V4(_)) => Some(Self {
                address,
                prefix: self.prefix.checked_sub(MAPPED)?,
            }),
            _ => Some(self),
        }
    }

    /// Whether an address lies in it. Networks of one family hold no addresses of the other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ
                    .checked_shr(128 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let read = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(most);
            (prefix <= most).then_some(Self { address, prefix }.canonical())?
        };
        read().ok_or_else(|| NetworkError(text.chars().take(60).collect()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What is not the public Internet: IANA's registries of special-purpose addresses (RFC 6890), multicast,
/// and the forms of IPv6 that carry an IPv4 address inside and would lead around this list.
const NOT_PUBLIC: &[Network] = &[
    Network::v4(0, 0, 0, 0, 8),
    Network::v4(10, 0, 0, 0, 8),
    // Carrier-grade NAT, RFC 6598.
    Network::v4(100, 64, 0, 0, 10),
    Network::v4(127, 0, 0, 0, 8),
    // Link-local, with the metadata services of clouds.
    Network::v4(169, 254, 0, 0, 16),
    Network::v4(172, 16, 0, 0, 12),
    Network::v4(192, 0, 0, 0, 24),
    Network::v4(192, 0, 2, 0, 24),
    Network::v4(192, 88, 99, 0, 24),
    Network::v4(192, 168, 0, 0, 16),
    Network::v4(198, 18, 0, 0, 15),
    Network::v4(198, 51, 100, 0, 24),
    Network::v4(203, 0, 113, 0, 24),
    // Multicast, reserved, broadcast.
    Network::v4(224, 0, 0, 0, 3),
    // Unspecified, loopback, IPv4-compatible.
    Network::v6(0, 0, 0, 96),
    // Network-specific translation, RFC 8215, and NAT64, RFC 6052.
    Network::v6(0x64, 0xff9b, 0, 32),
    // Discard-only.
    Network::v6(0x100, 0, 0, 64),
    // Teredo, benchmarking, ORCHID.
    Network::v6(0x2001, 0, 0, 23),
    // Documentation.
    Network::v6(0x2001, 0xdb8, 0, 32),
    Network::v6(0x3fff, 0, 0, 20),
    // 6to4.
    Network::v6(0x2002, 0, 0, 16),
    // Unique local, link-local, site-local, multicast.
    Network::v6(0xfc00, 0, 0, 7),
    Network::v6(0xfe80, 0, 0, 10),
    Network::v6(0xfec0, 0, 0, 10),
    Network::v6(0xff00, 0, 0, 8),
];

/// Which addresses may be connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundPolicy {
    /// Networks that may be reached though they are not public.
    pub allow: Vec<Network>,
    /// Networks that may not be reached, whatever else is said.
    pub deny: Vec<Network>,
}

/// An address that the policy forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the outbound policy of this server forbids the address {0}")]
pub struct ForbiddenAddress(pub IpAddr);

impl OutboundPolicy {
    /// For targets that any client may name: public addresses, and those that are allowed.
    pub fn check_public(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let address = address.to_canonical();
        let is_in = |networks: &[Network]| networks.iter().any(|one| one.contains(address));
        if is_in(&self.deny) || (is_in(NOT_PUBLIC) && !is_in(&self.allow)) {
            return Err(ForbiddenAddress(address));
        }
        Ok(())
    }

    /// For cameras, which are nearly always in a private network: whatever is not denied.
    pub fn check_camera(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let is_denied = |address| self.deny.iter().any(|network| network.contains(address));
        if is_denied(address.to_canonical()) || reached(address).into_iter().any(is_denied) {
            return Err(ForbiddenAddress(address));
        }
        Ok(())
    }
}

/// Other addresses that a connection to this one may end at: the host itself behind the unspecified ones, and
/// the IPv4 address inside of forms of IPv6 that are translated or tunnelled to it.
fn reached(address: IpAddr) -> Vec<IpAddr> {
    const LOOPBACK: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let inside = match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => inside(address),
    };
    let mut reached: Vec<IpAddr> = inside.map(IpAddr::V4).into_iter().collect();
    if address.to_canonical().is_unspecified() || inside.is_some_and(|one| one.is_unspecified()) {
        reached.extend(LOOPBACK);
    }
    reached
}

/// The IPv4 address inside of an IPv4-compatible one, of NAT64 (RFC 6052; RFC 8215 with the same length, 96)
/// or of 6to4 (RFC 3056).
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let two = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(two(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_hold_what_lies_in_them() {
        assert!(network("10.0.0.0/8").contains(ip("10.255.0.1")));
        assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(network("10.0.0.7").contains(ip("10.0.0.7")));
        assert!(!network("10.0.0.7").contains(ip("10.0.0.6")));
        assert!(network("0.0.0.0/0").contains(ip("1.2.3.4")));
        assert!(!network("0.0.0.0/0").contains(ip("::1")));
        assert!(network("::/0").contains(ip("2a00::1")));
        assert!(network("fd00::/8").contains(ip("fd12::1")));
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "a/8",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_public_internet_is_reached_unless_something_else_is_allowed() {
        let policy = OutboundPolicy::default();
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(policy.check_public(ip(public)), Ok(()), "{public}");
        }
        let forbidden = [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
        ];
        for address in forbidden {
            let address = ip(address);
            assert!(policy.check_public(address).is_err(), "{address}");
        }
    }

    #[test]
    fn deny_counts_more_than_allow_and_cameras_may_be_private() {
        let policy = OutboundPolicy {
            allow: vec![network("10.0.0.0/8")],
            deny: vec![network("10.9.0.0/16"), network("8.8.8.8")],
        };
        assert!(policy.check_public(ip("10.1.0.1")).is_ok());
        assert!(policy.check_public(ip("::ffff:10.1.0.1")).is_ok());
        for denied in ["10.9.0.1", "8.8.8.8", "::ffff:8.8.8.8"] {
            assert!(policy.check_public(ip(denied)).is_err());
            assert!(policy.check_camera(ip(denied)).is_err());
        }
        assert!(policy.check_public(ip("192.168.0.1")).is_err());
        assert!(policy.check_camera(ip("192.168.0.1")).is_ok());
        assert!(policy.check_camera(ip("127.0.0.1")).is_ok());
        assert!(policy.check_camera(ip("0.0.0.0")).is_ok());
    }

    #[test]
    fn no_form_of_an_address_leads_around_what_is_denied_to_cameras() {
        let of = |deny: &[&str]| OutboundPolicy {
            allow: Vec::new(),
            deny: deny.iter().map(|text| network(text)).collect(),
        };
        let denied = |policy: &OutboundPolicy, text| policy.check_camera(ip(text)).is_err();
        for deny in ["127.0.0.0/8", "::1", "::ffff:127.0.0.0/104"] {
            for address in ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::", "2002::1"] {
                assert!(denied(&of(&[deny]), address), "{deny} {address}");
            }
            assert!(!denied(&of(&[deny]), "10.0.0.7"));
        }
        for deny in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
            for address in [
                "10.1.2.3",
                "::ffff:10.1.2.3",
                "::10.1.2.3",
                "64:ff9b::10.1.2.3",
                "64:ff9b:1::10.1.2.3",
                "2002:a01:203::1",
            ] {
                assert!(denied(&of(&[deny]), address), "{deny} {address}");
            }
            for open in ["11.1.2.3", "64:ff9b::11.1.2.3", "0.0.0.0", "fd00::a01:203"] {
                assert!(!denied(&of(&[deny]), open), "{deny} {open}");
            }
        }
        assert!("::ffff:10.0.0.0/8".parse::<Network>().is_err());
    }
}

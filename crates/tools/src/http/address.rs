//! Which addresses are of the public internet. After IANA's registries of special purposes (RFC 6890 and what came since):
//! everything that is not plainly public counts as private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, where it is not public.
pub(super) fn private(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => private_v4(v4),
        IpAddr::V6(v6) => private_v6(v6),
    }
}

fn private_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [127, ..] => "this machine",
        [0, ..] => "this machine or network",
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => "a private network",
        [100, 64..=127, ..] => "a provider's network",
        [169, 254, ..] => "the local link, where clouds tell secrets of a machine",
        [192, 0, 0, _] => "a network of protocols",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "a network of examples",
        [192, 88, 99, _] => "a relay of 6to4",
        [198, 18 | 19, ..] => "a network of benchmarks",
        [224..=239, ..] => "a group of machines",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn private_v6(address: Ipv6Addr) -> Option<&'static str> {
    // What these lead to is an address of version 4.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
        return private_v4(joined(high, low));
    }
    if let [0x2002, high, low, ..] = address.segments() {
        return private_v4(joined(high, low)).or(Some("a tunnel of 6to4"));
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => "this machine",
        [0, 0, 0, 0, 0, 0, 0, 0] => "this machine or network",
        [0xfc00..=0xfdff, ..] => "a private network",
        [0xfe80..=0xfebf, ..] => "the local link",
        [0xfec0..=0xfeff, ..] => "a site's network",
        [0xff00..=0xffff, ..] => "a group of machines",
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => "a network of examples",
        [0x2001, 0..=0x01ff, ..] => "a network of protocols",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(private(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(private(address.parse().unwrap()), None, "{address}");
        }
    }
}

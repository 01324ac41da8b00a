//! Resource identifiers in EC2's form: a prefix, a hyphen, and 17 hexadecimal digits.

use crate::ParseError;

/// Serde through `Display` and `FromStr`, so that stored and wire forms are the text people know.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// 17 hexadecimal digits hold 68 bits.
const MASK: u128 = (1 << 68) - 1;

fn digits(text: &str, prefix: &str) -> Option<u128> {
    let rest = text.strip_prefix(prefix)?.strip_prefix('-')?;
    let plain = rest
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (rest.len() == 17 && plain)
        .then(|| u128::from_str_radix(rest, 16).ok())
        .flatten()
}

macro_rules! ids {
    ($( $(#[doc = $doc:literal])+ $name:ident = $prefix:literal, $noun:literal; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(u128);

            impl $name {
                /// What stands before the hyphen.
                pub const PREFIX: &'static str = $prefix;

                /// An identifier from random bits; those over 68 are ignored.
                #[must_use]
                pub const fn from_bits(bits: u128) -> $name { $name(bits & MASK) }

                /// The 68 bits that the text spells.
                #[must_use]
                pub const fn bits(self) -> u128 { self.0 }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.pad(&format!(concat!($prefix, "-{:017x}"), self.0))
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    std::fmt::Display::fmt(self, f)
                }
            }

            impl std::str::FromStr for $name {
                type Err = ParseError;

                fn from_str(text: &str) -> Result<$name, ParseError> {
                    digits(text, $prefix)
                        .map($name)
                        .ok_or_else(|| ParseError { expected: $noun, found: text.to_owned() })
                }
            }

            serde_as_text!($name);

            impl From<$name> for ObjectId {
                fn from(id: $name) -> ObjectId { ObjectId::$name(id) }
            }
        )+

        /// The identifier of any kind of resource: what a trace names.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the kind it is named after")]
        pub enum ObjectId { $($name($name)),+ }

        impl std::fmt::Display for ObjectId {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(ObjectId::$name(id) => std::fmt::Display::fmt(id, f)),+ }
            }
        }

        impl std::fmt::Debug for ObjectId {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for ObjectId {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<ObjectId, ParseError> {
                $( if let Ok(id) = text.parse::<$name>() { return Ok(ObjectId::$name(id)); } )+
                Err(ParseError { expected: "resource id", found: text.to_owned() })
            }
        }

        serde_as_text!(ObjectId);
    };
}

ids! {
    /// A VPC.
    VpcId = "vpc", "VPC id";
    /// A subnet.
    SubnetId = "subnet", "subnet id";
    /// An elastic network interface.
    InterfaceId = "eni", "network interface id";
    /// A security group.
    GroupId = "sg", "security group id";
    /// A rule of a security group.
    GroupRuleId = "sgr", "security group rule id";
    /// A route table.
    RouteTableId = "rtb", "route table id";
    /// An association of a route table with a subnet.
    AssociationId = "rtbassoc", "route table association id";
    /// An internet gateway.
    GatewayId = "igw", "internet gateway id";
    /// A network ACL.
    AclId = "acl", "network ACL id";
    /// A set of DHCP options.
    DhcpOptionsId = "dopt", "DHCP options id";
    /// An elastic IP address.
    AllocationId = "eipalloc", "allocation id";
    /// An association of an elastic IP address with an interface.
    AddressAssociationId = "eipassoc", "address association id";
    /// An attachment of an interface to an instance.
    AttachmentId = "eni-attach", "attachment id";
    /// An instance.
    InstanceId = "i", "instance id";
    /// A reservation: what one `RunInstances` made.
    ReservationId = "r", "reservation id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip_and_strictness() {
        let id = VpcId::from_bits(u128::MAX);
        assert_eq!(id.to_string(), "vpc-fffffffffffffffff");
        assert_eq!(id.to_string().parse::<VpcId>(), Ok(id));
        assert_eq!(VpcId::from_bits(0x2a).to_string(), "vpc-0000000000000002a");
        for bad in [
            "",
            "vpc",
            "vpc-",
            "vpc-1",
            "subnet-0000000000000002a",
            "vpc-0000000000000002A",
            "vpc-+000000000000002a",
        ] {
            assert!(bad.parse::<VpcId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn object_ids_find_their_kind() {
        for text in [
            "i-0000000000000002a",
            "eni-0000000000000002a",
            "eni-attach-0000000000000002a",
            "eipalloc-0000000000000002a",
            "eipassoc-0000000000000002a",
            "sgr-0000000000000002a",
        ] {
            assert_eq!(text.parse::<ObjectId>().unwrap().to_string(), text);
        }
        assert!("x-0000000000000002a".parse::<ObjectId>().is_err());
    }
}

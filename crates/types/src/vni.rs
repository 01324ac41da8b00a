//! VXLAN network identifiers.

/// A VXLAN network identifier: 24 bits, never 0 (RFC 7348 section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The largest identifier.
    pub const MAX: Vni = Vni(0x00ff_ffff);

    /// `None` for 0 and for anything over 24 bits.
    #[must_use]
    pub const fn new(value: u32) -> Option<Vni> {
        if value == 0 || value > Vni::MAX.0 {
            None
        } else {
            Some(Vni(value))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Vni {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Debug for Vni {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vni {}", self.0)
    }
}

impl std::str::FromStr for Vni {
    type Err = crate::ParseError;

    fn from_str(text: &str) -> Result<Vni, Self::Err> {
        text.parse()
            .ok()
            .and_then(Vni::new)
            .ok_or_else(|| crate::ParseError {
                expected: "VNI (1 to 16777215)",
                found: text.to_owned(),
            })
    }
}

crate::id::serde_as_text!(Vni);

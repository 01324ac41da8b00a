//! The options of a connection's two tunnels: what clients may ask for, and what Amazon's side offers
//! (Site-to-Site VPN "Tunnel options for your Site-to-Site VPN connection").

use std::net::{IpAddr, Ipv4Addr};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::Cidr;

use crate::Context;
use crate::mortal::invalid;

/// A value in a list, as EC2 wraps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Listed<T> {
    /// The value.
    pub value: Option<T>,
}

/// Options of a tunnel as clients give them.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Requested {
    tunnel_inside_cidr: Option<String>,
    pre_shared_key: Option<String>,
    phase1_lifetime_seconds: Option<i64>,
    phase2_lifetime_seconds: Option<i64>,
    rekey_margin_time_seconds: Option<i64>,
    rekey_fuzz_percentage: Option<i64>,
    replay_window_size: Option<i64>,
    #[serde(rename = "DPDTimeoutSeconds")]
    dpd_timeout_seconds: Option<i64>,
    #[serde(rename = "DPDTimeoutAction")]
    dpd_timeout_action: Option<String>,
    phase1_encryption_algorithms: Option<Vec<Listed<String>>>,
    phase2_encryption_algorithms: Option<Vec<Listed<String>>>,
    phase1_integrity_algorithms: Option<Vec<Listed<String>>>,
    phase2_integrity_algorithms: Option<Vec<Listed<String>>>,
    #[serde(rename = "Phase1DHGroupNumbers")]
    phase1_dh_group_numbers: Option<Vec<Listed<i64>>>,
    #[serde(rename = "Phase2DHGroupNumbers")]
    phase2_dh_group_numbers: Option<Vec<Listed<i64>>>,
    #[serde(rename = "IKEVersions")]
    ike_versions: Option<Vec<Listed<String>>>,
    startup_action: Option<String>,
    enable_tunnel_lifecycle_control: Option<bool>,
}

/// A tunnel, with the options that clients chose; what they did not choose stands empty and is Amazon's default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tunnel {
    /// The address of Amazon's side, outside.
    pub outside_ip_address: Ipv4Addr,
    /// The /30 inside.
    pub tunnel_inside_cidr: Cidr,
    /// The secret of both sides.
    pub pre_shared_key: String,
    /// How long phase 1 lasts, in seconds.
    pub phase1_lifetime_seconds: Option<i64>,
    /// How long phase 2 lasts, in seconds.
    pub phase2_lifetime_seconds: Option<i64>,
    /// How long before its end it is renewed, in seconds.
    pub rekey_margin_time_seconds: Option<i64>,
    /// By how much that varies.
    pub rekey_fuzz_percentage: Option<i64>,
    /// How many packets may come out of order.
    pub replay_window_size: Option<i64>,
    /// After how long without an answer the other side is dead, in seconds.
    pub dpd_timeout_seconds: Option<i64>,
    /// What happens then.
    pub dpd_timeout_action: Option<String>,
    /// Ciphers of phase 1.
    pub phase1_encryption_algorithms: Option<Vec<Listed<String>>>,
    /// Ciphers of phase 2.
    pub phase2_encryption_algorithms: Option<Vec<Listed<String>>>,
    /// Hashes of phase 1.
    pub phase1_integrity_algorithms: Option<Vec<Listed<String>>>,
    /// Hashes of phase 2.
    pub phase2_integrity_algorithms: Option<Vec<Listed<String>>>,
    /// Groups of phase 1.
    #[serde(rename = "Phase1DHGroupNumbers")]
    pub phase1_dh_group_numbers: Option<Vec<Listed<i64>>>,
    /// Groups of phase 2.
    #[serde(rename = "Phase2DHGroupNumbers")]
    pub phase2_dh_group_numbers: Option<Vec<Listed<i64>>>,
    /// Versions of IKE.
    pub ike_versions: Option<Vec<Listed<String>>>,
    /// Who begins.
    pub startup_action: Option<String>,
    /// Whether its owner says when it is replaced.
    pub enable_tunnel_lifecycle_control: Option<bool>,
}

impl std::fmt::Debug for Tunnel {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel")
            .field("outside_ip_address", &self.outside_ip_address)
            .field("tunnel_inside_cidr", &self.tunnel_inside_cidr)
            .finish_non_exhaustive()
    }
}

/// Blocks that AWS keeps for itself.
const RESERVED: [&str; 7] = [
    "169.254.0.0/30",
    "169.254.1.0/30",
    "169.254.2.0/30",
    "169.254.3.0/30",
    "169.254.4.0/30",
    "169.254.5.0/30",
    "169.254.169.252/30",
];

fn is_reserved(cidr: Cidr) -> bool {
    RESERVED
        .iter()
        .any(|text| text.parse::<Cidr>().is_ok_and(|reserved| reserved == cidr))
}

fn inside(text: &str, others: &[Cidr]) -> Result<Cidr, ApiError> {
    let wrong = |why: &str| invalid("tunnelInsideCidr", text, why);
    let cidr: Cidr = text
        .parse()
        .map_err(|_| wrong("This is not a valid CIDR block."))?;
    let local = IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0));
    let range = Cidr::containing(local, 16);
    if cidr.length() != 30 || !range.is_some_and(|range| range.covers(cidr)) {
        return Err(wrong("It must be a /30 block of 169.254.0.0/16."));
    }
    if is_reserved(cidr) {
        return Err(wrong("The block is reserved."));
    }
    if others.contains(&cidr) {
        return Err(wrong("The block is used by another tunnel."));
    }
    Ok(cidr)
}

/// A block of 169.254.0.0/16 that no other tunnel of the gateway has.
fn choose_inside(ctx: &Context<'_>, others: &[Cidr]) -> Result<Cidr, ApiError> {
    /// A gateway has few tunnels; this often only if the source of randomness is broken.
    const TRIES: usize = 256;
    for _ in 0..TRIES {
        let [_, _, a, b, ..] = ctx.random().to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(169, 254, a, b));
        if let Some(cidr) = Cidr::containing(address, 30)
            && !is_reserved(cidr)
            && !others.contains(&cidr)
        {
            return Ok(cidr);
        }
    }
    Err(ApiError::internal("no free inside block was found"))
}

/// EC2: 8 to 64 letters, digits, periods and underscores, and not a zero first.
fn key(text: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_';
    if !(8..=64).contains(&text.len()) || !text.bytes().all(plain) || text.starts_with('0') {
        // The secret stays out of the message.
        return Err(ApiError::new(
            "InvalidParameterValue",
            "The pre-shared key must have 8 to 64 letters, digits, periods (.) and underscores (_), and cannot start with zero (0).",
        ));
    }
    Ok(())
}

/// A new secret of 32 characters.
fn new_key(ctx: &Context<'_>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123456789._A";
    let letter = |octet: u8| {
        let index = usize::from(octet % 64);
        LETTERS.get(index).copied().map_or('A', char::from)
    };
    [ctx.random(), ctx.random()]
        .into_iter()
        .flat_map(u128::to_be_bytes)
        .map(letter)
        .collect()
}

/// An address of Amazon's side: of TEST-NET-2 (RFC 5737), as no tunnel ends here.
fn outside(ctx: &Context<'_>) -> Ipv4Addr {
    let [_, _, _, last, ..] = ctx.random().to_be_bytes();
    Ipv4Addr::new(198, 51, 100, last)
}

fn within(number: Option<i64>, parameter: &str, from: i64, to: i64) -> Result<(), ApiError> {
    match number {
        Some(number) if !(from..=to).contains(&number) => Err(invalid(
            parameter,
            number,
            &format!("It must be between {from} and {to}."),
        )),
        _ => Ok(()),
    }
}

fn one_of<T: PartialEq + std::fmt::Display + Copy, V: AsValue<T>>(
    values: Option<&Vec<Listed<V>>>,
    parameter: &str,
    known: &[T],
) -> Result<(), ApiError> {
    for listed in values.into_iter().flatten() {
        let ok = listed
            .value
            .as_ref()
            .is_some_and(|value| known.iter().any(|known| value.is(*known)));
        if !ok {
            let all: Vec<String> = known.iter().map(ToString::to_string).collect();
            return Err(invalid(
                parameter,
                listed.value.as_ref().map(V::show).unwrap_or_default(),
                &format!("It must be one of {}.", all.join(", ")),
            ));
        }
    }
    Ok(())
}

/// Compares a value of a request with one that EC2 knows.
trait AsValue<T> {
    fn is(&self, known: T) -> bool;
    fn show(&self) -> String;
}

impl AsValue<&'static str> for String {
    fn is(&self, known: &'static str) -> bool {
        self == known
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl AsValue<i64> for i64 {
    fn is(&self, known: i64) -> bool {
        *self == known
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

const ENCRYPTION: [&str; 4] = ["AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"];
const INTEGRITY: [&str; 4] = ["SHA1", "SHA2-256", "SHA2-384", "SHA2-512"];
const PHASE1_GROUPS: [i64; 11] = [2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
const PHASE2_GROUPS: [i64; 12] = [2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
/// Of both phases besides.
const LAST_GROUP: i64 = 24;

impl Requested {
    fn check(&self) -> Result<(), ApiError> {
        within(
            self.phase1_lifetime_seconds,
            "phase1LifetimeSeconds",
            900,
            28_800,
        )?;
        within(
            self.phase2_lifetime_seconds,
            "phase2LifetimeSeconds",
            900,
            3600,
        )?;
        let phase1 = self.phase1_lifetime_seconds.unwrap_or(28_800);
        let phase2 = self.phase2_lifetime_seconds.unwrap_or(3600);
        if phase2 > phase1 {
            return Err(invalid(
                "phase2LifetimeSeconds",
                phase2,
                "It must be less than phase1LifetimeSeconds.",
            ));
        }
        within(
            self.rekey_margin_time_seconds,
            "rekeyMarginTimeSeconds",
            60,
            phase2 / 2,
        )?;
        within(self.rekey_fuzz_percentage, "rekeyFuzzPercentage", 0, 100)?;
        within(self.replay_window_size, "replayWindowSize", 64, 2048)?;
        within(self.dpd_timeout_seconds, "DPDTimeoutSeconds", 30, 3600)?;
        let word = |given: &Option<String>, parameter: &str, known: &[&'static str]| {
            let listed: Option<Vec<Listed<String>>> = given
                .clone()
                .map(|value| vec![Listed { value: Some(value) }]);
            one_of(listed.as_ref(), parameter, known)
        };
        word(
            &self.dpd_timeout_action,
            "DPDTimeoutAction",
            &["clear", "none", "restart"],
        )?;
        word(&self.startup_action, "startupAction", &["add", "start"])?;
        one_of(
            self.phase1_encryption_algorithms.as_ref(),
            "phase1EncryptionAlgorithms",
            &ENCRYPTION,
        )?;
        one_of(
            self.phase2_encryption_algorithms.as_ref(),
            "phase2EncryptionAlgorithms",
            &ENCRYPTION,
        )?;
        one_of(
            self.phase1_integrity_algorithms.as_ref(),
            "phase1IntegrityAlgorithms",
            &INTEGRITY,
        )?;
        one_of(
            self.phase2_integrity_algorithms.as_ref(),
            "phase2IntegrityAlgorithms",
            &INTEGRITY,
        )?;
        let with_last = |groups: &[i64]| [groups, &[LAST_GROUP]].concat();
        one_of(
            self.phase1_dh_group_numbers.as_ref(),
            "phase1DHGroupNumbers",
            &with_last(&PHASE1_GROUPS),
        )?;
        one_of(
            self.phase2_dh_group_numbers.as_ref(),
            "phase2DHGroupNumbers",
            &with_last(&PHASE2_GROUPS),
        )?;
        one_of(
            self.ike_versions.as_ref(),
            "IKEVersions",
            &["ikev1", "ikev2"],
        )?;
        if let Some(text) = &self.pre_shared_key {
            key(text)?;
        }
        Ok(())
    }

    /// A tunnel of these options. `others` are the inside blocks of the gateway's other tunnels.
    ///
    /// # Errors
    /// `InvalidParameterValue` for an option that EC2 does not take.
    pub(crate) fn make(self, ctx: &Context<'_>, others: &[Cidr]) -> Result<Tunnel, ApiError> {
        self.check()?;
        let mut tunnel = Tunnel {
            outside_ip_address: outside(ctx),
            tunnel_inside_cidr: match &self.tunnel_inside_cidr {
                Some(text) => inside(text, others)?,
                None => choose_inside(ctx, others)?,
            },
            pre_shared_key: match &self.pre_shared_key {
                Some(text) => text.clone(),
                None => new_key(ctx),
            },
            phase1_lifetime_seconds: None,
            phase2_lifetime_seconds: None,
            rekey_margin_time_seconds: None,
            rekey_fuzz_percentage: None,
            replay_window_size: None,
            dpd_timeout_seconds: None,
            dpd_timeout_action: None,
            phase1_encryption_algorithms: None,
            phase2_encryption_algorithms: None,
            phase1_integrity_algorithms: None,
            phase2_integrity_algorithms: None,
            phase1_dh_group_numbers: None,
            phase2_dh_group_numbers: None,
            ike_versions: None,
            startup_action: None,
            enable_tunnel_lifecycle_control: None,
        };
        self.set(&mut tunnel);
        Ok(tunnel)
    }

    /// Changes a tunnel's options.
    ///
    /// # Errors
    /// As for [`Requested::make`].
    pub(crate) fn change(self, tunnel: &mut Tunnel, others: &[Cidr]) -> Result<(), ApiError> {
        self.check()?;
        if let Some(text) = &self.tunnel_inside_cidr {
            tunnel.tunnel_inside_cidr = inside(text, others)?;
        }
        if let Some(text) = &self.pre_shared_key {
            tunnel.pre_shared_key.clone_from(text);
        }
        self.set(tunnel);
        Ok(())
    }

    fn set(self, tunnel: &mut Tunnel) {
        macro_rules! take {
            ($($member:ident),+) => {
                $( if self.$member.is_some() { tunnel.$member = self.$member; } )+
            };
        }
        take!(
            phase1_lifetime_seconds,
            phase2_lifetime_seconds,
            rekey_margin_time_seconds,
            rekey_fuzz_percentage,
            replay_window_size,
            dpd_timeout_seconds,
            dpd_timeout_action,
            phase1_encryption_algorithms,
            phase2_encryption_algorithms,
            phase1_integrity_algorithms,
            phase2_integrity_algorithms,
            phase1_dh_group_numbers,
            phase2_dh_group_numbers,
            ike_versions,
            startup_action,
            enable_tunnel_lifecycle_control
        );
    }
}

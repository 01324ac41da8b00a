//! What an instance is told to be besides its network: recorded, shown and changed; hosts do not know of it.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{InstanceId, RegionName};

use crate::account::{Account, AccountKey};
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::instance::{self, Instance, InstanceState};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query};
use crate::{Context, PlacementGroup, Tx, instance_type, placement_group};

actions! {
    "DescribeInstanceCreditSpecifications" => describe_instance_credit_specifications, Control;
    "GetInstanceMetadataDefaults" => get_instance_metadata_defaults, Control;
    "ModifyInstanceCapacityReservationAttributes" => modify_instance_capacity_reservation_attributes, Recorded;
    "ModifyInstanceCpuOptions" => modify_instance_cpu_options, Recorded;
    "ModifyInstanceCreditSpecification" => modify_instance_credit_specification, Recorded;
    "ModifyInstanceMaintenanceOptions" => modify_instance_maintenance_options, Recorded;
    "ModifyInstanceMetadataDefaults" => modify_instance_metadata_defaults, Recorded;
    "ModifyInstanceMetadataOptions" => modify_instance_metadata_options, Recorded;
    "ModifyInstancePlacement" => modify_instance_placement, Recorded;
    "ModifyPrivateDnsNameOptions" => modify_private_dns_name_options, Recorded;
    "MonitorInstances" => monitor_instances, Recorded;
    "UnmonitorInstances" => unmonitor_instances, Recorded;
}

/// What an instance is told to be besides its network.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceOptions {
    /// The name of its key pair, which may have been deleted since.
    pub key_name: Option<String>,
    /// Whether `StopInstances` refuses it.
    pub disable_api_stop: bool,
    /// Whether it is optimized for volumes.
    pub ebs_optimized: bool,
    /// Whether it is monitored in detail.
    pub monitored: bool,
    /// Its CPU credits if it is of a burstable type and the client chose: `standard` or `unlimited`.
    pub credits: Option<String>,
    /// The ARN and the id of its instance profile.
    pub profile: Option<(String, String)>,
    /// Its metadata service.
    pub metadata: MetadataOptions,
    /// Whether it is not recovered by itself.
    pub no_auto_recovery: bool,
    /// Whether it is not migrated when it is rebooted for maintenance.
    pub no_reboot_migration: bool,
    /// Whether it keeps out of open capacity reservations.
    pub no_capacity_reservation: bool,
    /// Its name in the VPC's DNS.
    pub dns: DnsOptions,
    /// Cores, and threads of each, if the client chose.
    pub cpu: Option<(u32, u32)>,
    /// Whether its tenancy is `dedicated`.
    pub dedicated: bool,
}

/// The options of an instance's metadata service. What is `None` was not chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// Whether requests need a session's token.
    pub tokens_required: Option<bool>,
    /// How many hops its answers may go, 1 to 64.
    pub hop_limit: Option<u32>,
    /// Whether it answers at all.
    pub enabled: Option<bool>,
    /// Whether it answers over IPv6.
    pub ipv6: Option<bool>,
    /// Whether it tells the instance's tags.
    pub tags: Option<bool>,
    /// Of an account's defaults only: whether launches must require tokens.
    pub tokens_enforced: Option<bool>,
}

/// An instance's name in the VPC's DNS.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsOptions {
    /// Whether it is made of the instance's id, not of its address.
    pub resource_name: bool,
    /// Whether the name of the id has an A record.
    pub a: bool,
    /// Whether the name of the id has an AAAA record.
    pub aaaa: bool,
}

fn invalid(parameter: &str, value: &impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("Value ({value}) for parameter {parameter} is invalid."),
    )
}

/// One of two words, as a truth.
pub(crate) fn either(
    parameter: &str,
    value: Option<&str>,
    (no, yes): (&str, &str),
) -> Result<Option<bool>, ApiError> {
    match value {
        None => Ok(None),
        Some(word) if word == no => Ok(Some(false)),
        Some(word) if word == yes => Ok(Some(true)),
        Some(other) => Err(invalid(parameter, &other)),
    }
}

const fn word(value: bool, (no, yes): (&'static str, &'static str)) -> &'static str {
    if value { yes } else { no }
}

const TOKENS: (&str, &str) = ("optional", "required");
const ENABLED: (&str, &str) = ("disabled", "enabled");
const RECOVERY: (&str, &str) = ("default", "disabled");
const HOSTNAME: (&str, &str) = ("ip-name", "resource-name");
const PREFERENCE: (&str, &str) = ("open", "none");

/// `MetadataOptions` of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MetadataOptionsRequest {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

fn hop_limit(number: Option<i64>) -> Result<Option<u32>, ApiError> {
    number
        .map(|number| {
            u32::try_from(number)
                .ok()
                .filter(|limit| (1..=64).contains(limit))
                .ok_or_else(|| invalid("HttpPutResponseHopLimit", &number))
        })
        .transpose()
}

impl MetadataOptionsRequest {
    fn read(self) -> Result<MetadataOptions, ApiError> {
        let is_enabled = |name, value: &Option<String>| either(name, value.as_deref(), ENABLED);
        Ok(MetadataOptions {
            tokens_required: either("HttpTokens", self.http_tokens.as_deref(), TOKENS)?,
            hop_limit: hop_limit(self.http_put_response_hop_limit)?,
            enabled: is_enabled("HttpEndpoint", &self.http_endpoint)?,
            ipv6: is_enabled("HttpProtocolIpv6", &self.http_protocol_ipv6)?,
            tags: is_enabled("InstanceMetadataTags", &self.instance_metadata_tags)?,
            tokens_enforced: None,
        })
    }
}

/// `MetadataOptions` of a reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetadataOptionsReply {
    state: &'static str,
    http_tokens: &'static str,
    http_put_response_hop_limit: u32,
    http_endpoint: &'static str,
    http_protocol_ipv6: &'static str,
    instance_metadata_tags: &'static str,
}

impl MetadataOptions {
    /// These where they are chosen, else those.
    fn or(self, other: MetadataOptions) -> MetadataOptions {
        MetadataOptions {
            tokens_required: self.tokens_required.or(other.tokens_required),
            hop_limit: self.hop_limit.or(other.hop_limit),
            enabled: self.enabled.or(other.enabled),
            ipv6: self.ipv6.or(other.ipv6),
            tags: self.tags.or(other.tags),
            tokens_enforced: self.tokens_enforced.or(other.tokens_enforced),
        }
    }

    pub(crate) fn reply(&self) -> MetadataOptionsReply {
        MetadataOptionsReply {
            state: "applied",
            http_tokens: word(self.tokens_required.unwrap_or(false), TOKENS),
            http_put_response_hop_limit: self.hop_limit.unwrap_or(1),
            http_endpoint: word(self.enabled.unwrap_or(true), ENABLED),
            http_protocol_ipv6: word(self.ipv6.unwrap_or(false), ENABLED),
            instance_metadata_tags: word(self.tags.unwrap_or(false), ENABLED),
        }
    }
}

/// Of an instance's filters, those of what is in this file.
pub(crate) const FIELDS: &[Field<Instance>] = &[
    (
        "capacity-reservation-specification.capacity-reservation-preference",
        |_, i| vec![word(i.options.no_capacity_reservation, PREFERENCE).to_owned()],
    ),
    ("ebs-optimized", |_, i| {
        vec![i.options.ebs_optimized.to_string()]
    }),
    ("iam-instance-profile.arn", |_, i| {
        i.options
            .profile
            .iter()
            .map(|(arn, _)| arn.clone())
            .collect()
    }),
    ("iam-instance-profile.id", |_, i| {
        i.options.profile.iter().map(|(_, id)| id.clone()).collect()
    }),
    ("key-name", |_, i| {
        i.options.key_name.clone().into_iter().collect()
    }),
    ("maintenance-options.auto-recovery", |_, i| {
        vec![word(i.options.no_auto_recovery, RECOVERY).to_owned()]
    }),
    ("metadata-options.http-endpoint", |_, i| {
        vec![i.options.metadata.reply().http_endpoint.to_owned()]
    }),
    ("metadata-options.http-protocol-ipv4", |_, i| {
        vec![i.options.metadata.reply().http_endpoint.to_owned()]
    }),
    ("metadata-options.http-protocol-ipv6", |_, i| {
        vec![i.options.metadata.reply().http_protocol_ipv6.to_owned()]
    }),
    ("metadata-options.http-put-response-hop-limit", |_, i| {
        vec![
            i.options
                .metadata
                .reply()
                .http_put_response_hop_limit
                .to_string(),
        ]
    }),
    ("metadata-options.http-tokens", |_, i| {
        vec![i.options.metadata.reply().http_tokens.to_owned()]
    }),
    ("metadata-options.instance-metadata-tags", |_, i| {
        vec![i.options.metadata.reply().instance_metadata_tags.to_owned()]
    }),
    ("metadata-options.state", |_, _| vec!["applied".to_owned()]),
    ("monitoring-state", |_, i| {
        vec![word(i.options.monitored, ENABLED).to_owned()]
    }),
    ("placement-group-name", |view, i| {
        let group = i
            .placement_group
            .and_then(|id| view.placement_groups.get(&id));
        group.map(|group| group.name.clone()).into_iter().collect()
    }),
    ("placement-partition-number", |_, i| {
        i.partition
            .map(|number| number.to_string())
            .into_iter()
            .collect()
    }),
    (
        "private-dns-name-options.enable-resource-name-dns-a-record",
        |_, i| vec![i.options.dns.a.to_string()],
    ),
    (
        "private-dns-name-options.enable-resource-name-dns-aaaa-record",
        |_, i| vec![i.options.dns.aaaa.to_string()],
    ),
    ("private-dns-name-options.hostname-type", |_, i| {
        vec![word(i.options.dns.resource_name, HOSTNAME).to_owned()]
    }),
    ("tenancy", |_, i| vec![i.options.tenancy().to_owned()]),
];

/// What `RunInstances` says of these options.
#[derive(Default)]
pub(crate) struct OptionsRequest {
    pub(crate) key_name: Option<String>,
    pub(crate) disable_api_stop: Option<bool>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) monitoring: Option<MonitoringRequest>,
    pub(crate) credits: Option<CreditsRequest>,
    pub(crate) profile: Option<ProfileRequest>,
    pub(crate) metadata: Option<MetadataOptionsRequest>,
    pub(crate) maintenance: Option<MaintenanceRequest>,
    pub(crate) reservation: Option<ReservationRequest>,
    pub(crate) dns: Option<DnsRequest>,
    pub(crate) cpu: Option<CpuRequest>,
    pub(crate) tenancy: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MonitoringRequest {
    enabled: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreditsRequest {
    cpu_credits: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ProfileRequest {
    arn: Option<String>,
    name: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MaintenanceRequest {
    auto_recovery: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReservationRequest {
    capacity_reservation_preference: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DnsRequest {
    hostname_type: Option<String>,
    #[serde(rename = "EnableResourceNameDnsARecord")]
    a: Option<bool>,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    aaaa: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CpuRequest {
    core_count: Option<i64>,
    threads_per_core: Option<i64>,
}

impl OptionsRequest {
    /// Checks the options of instances of a type that are to be launched.
    ///
    /// # Errors
    /// EC2's for each of them.
    pub(crate) fn read(
        self,
        tx: &Tx,
        ctx: &Context<'_>,
        instance_type: &str,
    ) -> Result<InstanceOptions, ApiError> {
        if let Some(name) = &self.key_name {
            crate::key_pair::by_name(tx, ctx, name)?;
        }
        let defaults = defaults(tx, ctx);
        let enforced = defaults.tokens_enforced == Some(true);
        let mut metadata = self.metadata.unwrap_or_default().read()?.or(defaults);
        metadata.tokens_enforced = None;
        if enforced && metadata.tokens_required != Some(true) {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "You can't launch instances with IMDSv1 because httpTokensEnforced is enabled for this account. \
                 Either launch the instance with httpTokens=required or contact your account owner to disable \
                 httpTokensEnforced.",
            ));
        }
        let dns = self
            .dns
            .map_or_else(|| Ok(DnsOptions::default()), DnsRequest::read)?;
        Ok(InstanceOptions {
            key_name: self.key_name,
            disable_api_stop: self.disable_api_stop.unwrap_or(false),
            ebs_optimized: self.ebs_optimized.unwrap_or(false),
            monitored: self.monitoring.is_some_and(|monitoring| monitoring.enabled),
            credits: self
                .credits
                .map(|credits| checked_credits(instance_type, credits.cpu_credits))
                .transpose()?,
            profile: self
                .profile
                .map(|profile| profile.read(ctx))
                .transpose()?
                .flatten(),
            metadata,
            no_auto_recovery: either(
                "AutoRecovery",
                self.maintenance.and_then(|m| m.auto_recovery).as_deref(),
                RECOVERY,
            )?
            .unwrap_or(false),
            no_reboot_migration: false,
            no_capacity_reservation: self
                .reservation
                .map_or(Ok(false), |reservation| reservation.read())?,
            dns,
            cpu: self
                .cpu
                .map(|cpu| cpu.read(instance_type))
                .transpose()?
                .flatten(),
            dedicated: match self.tenancy.as_deref() {
                None | Some("" | "default") => false,
                Some("dedicated") => true,
                Some("host") => return Err(resource::unsupported("Placement.Tenancy", &"host")),
                Some(other) => return Err(invalid("tenancy", &other)),
            },
        })
    }
}

fn checked_credits(instance_type: &str, credits: String) -> Result<String, ApiError> {
    if !instance_type::is_burstable(instance_type) {
        return Err(ApiError::new(
            "InstanceCreditSpecification.NotSupported",
            format!("The instance type '{instance_type}' does not support CPU credits."),
        ));
    }
    if matches!(credits.as_str(), "standard" | "unlimited") {
        Ok(credits)
    } else {
        Err(invalid("CpuCredits", &credits))
    }
}

impl ProfileRequest {
    /// Profiles are opaque: every name is one, and so is every ARN of this form.
    fn read(self, ctx: &Context<'_>) -> Result<Option<(String, String)>, ApiError> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let arn = match (self.arn, self.name) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "The parameter iamInstanceProfile.name may not be used in combination with iamInstanceProfile.arn",
                ));
            }
            (Some(arn), None) if arn.starts_with("arn:") && arn.contains(":instance-profile/") => {
                arn
            }
            (Some(arn), None) => return Err(invalid("iamInstanceProfile.arn", &arn)),
            (None, Some(name)) => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b);
                if !(1..=128).contains(&name.len()) || !name.bytes().all(is_plain) {
                    return Err(ApiError::new(
                        "InvalidParameterValue",
                        format!(
                            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                        ),
                    ));
                }
                format!("arn:aws:iam::{}:instance-profile/{name}", ctx.account)
            }
        };
        // The identifier is a function of the name, as it is where profiles are resources.
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for octet in arn.bytes() {
            hash =
                (hash ^ u128::from(octet)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        let letter = |place: u32| {
            let index = usize::try_from(hash >> (place * 5) & 31).unwrap_or(0);
            LETTERS.get(index).map_or('A', |letter| char::from(*letter))
        };
        let id: String = "AIPA".chars().chain((0..17).map(letter)).collect();
        Ok(Some((arn, id)))
    }
}

impl ReservationRequest {
    fn read(self) -> Result<bool, ApiError> {
        let preference = self.capacity_reservation_preference;
        if preference.as_deref() == Some("capacity-reservations-only") {
            return Err(resource::unsupported(
                "CapacityReservationSpecification.CapacityReservationPreference",
                &"capacity-reservations-only",
            ));
        }
        let chosen = either(
            "CapacityReservationPreference",
            preference.as_deref(),
            PREFERENCE,
        )?;
        Ok(chosen.unwrap_or(false))
    }
}

impl DnsRequest {
    fn read(self) -> Result<DnsOptions, ApiError> {
        let named = either("HostnameType", self.hostname_type.as_deref(), HOSTNAME)?;
        Ok(DnsOptions {
            resource_name: named.unwrap_or(false),
            a: self.a.unwrap_or(false),
            aaaa: self.aaaa.unwrap_or(false),
        })
    }
}

impl CpuRequest {
    fn read(self, instance_type: &str) -> Result<Option<(u32, u32)>, ApiError> {
        if self.core_count.is_none() && self.threads_per_core.is_none() {
            return Ok(None);
        }
        let (Some(cores), Some(threads)) = (self.core_count, self.threads_per_core) else {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "You must specify both CoreCount and ThreadsPerCore",
            ));
        };
        let number = |name: &str, value: i64| {
            u32::try_from(value)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| invalid(name, &value))
        };
        let chosen = (
            number("CoreCount", cores)?,
            number("ThreadsPerCore", threads)?,
        );
        instance_type::check_cpu(instance_type, chosen)?;
        Ok(Some(chosen))
    }
}

/// These options in the reply that shows an instance.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OptionsReply {
    pub(crate) key_name: Option<String>,
    pub(crate) ebs_optimized: bool,
    pub(crate) monitoring: MonitoringReply,
    pub(crate) iam_instance_profile: Option<ProfileReply>,
    pub(crate) metadata_options: MetadataOptionsReply,
    pub(crate) maintenance_options: MaintenanceReply,
    pub(crate) capacity_reservation_specification: ReservationReply,
    pub(crate) private_dns_name_options: DnsReply,
    pub(crate) cpu_options: Option<CpuReply>,
    pub(crate) enclave_options: Truth,
    pub(crate) hibernation_options: Configured,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MonitoringReply {
    state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProfileReply {
    arn: String,
    id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MaintenanceReply {
    auto_recovery: &'static str,
    reboot_migration: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReservationReply {
    capacity_reservation_preference: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DnsReply {
    hostname_type: &'static str,
    #[serde(rename = "EnableResourceNameDnsARecord")]
    a: bool,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    aaaa: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CpuReply {
    core_count: u32,
    threads_per_core: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Truth {
    enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configured {
    configured: bool,
}

impl InstanceOptions {
    /// EC2's word for its tenancy.
    pub(crate) const fn tenancy(&self) -> &'static str {
        word(self.dedicated, ("default", "dedicated"))
    }

    /// As the reply that shows an instance of the type has them.
    pub(crate) fn reply(&self, instance_type: &str) -> OptionsReply {
        let cpu = self
            .cpu
            .or_else(|| instance_type::default_cpu(instance_type));
        OptionsReply {
            key_name: self.key_name.clone(),
            ebs_optimized: self.ebs_optimized,
            monitoring: MonitoringReply {
                state: word(self.monitored, ENABLED),
            },
            iam_instance_profile: self.profile.as_ref().map(|(arn, id)| ProfileReply {
                arn: arn.clone(),
                id: id.clone(),
            }),
            metadata_options: self.metadata.reply(),
            maintenance_options: MaintenanceReply {
                auto_recovery: word(self.no_auto_recovery, RECOVERY),
                reboot_migration: word(self.no_reboot_migration, RECOVERY),
            },
            capacity_reservation_specification: ReservationReply {
                capacity_reservation_preference: word(self.no_capacity_reservation, PREFERENCE),
            },
            private_dns_name_options: DnsReply {
                hostname_type: word(self.dns.resource_name, HOSTNAME),
                a: self.dns.a,
                aaaa: self.dns.aaaa,
            },
            cpu_options: cpu.map(|(core_count, threads_per_core)| CpuReply {
                core_count,
                threads_per_core,
            }),
            enclave_options: Truth { enabled: false },
            hibernation_options: Configured { configured: false },
        }
    }
}

/// The client's instance, to change it.
fn to_change(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Instance, ApiError> {
    let instance = instance::find(tx, ctx, id)?;
    if matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated
    ) {
        return Err(ApiError::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{id}' is not in a state from which it can be modified: {}.",
                instance.state.name()
            ),
        ));
    }
    Ok(instance.clone())
}

/// The client's instance, which must be stopped to be changed so.
fn stopped(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<Instance, ApiError> {
    let instance = instance::find(tx, ctx, id)?;
    if instance.state == InstanceState::Stopped {
        return Ok(instance.clone());
    }
    Err(ApiError::new(
        "IncorrectInstanceState",
        format!("The instance '{id}' is not in the 'stopped' state."),
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Done {
    r#return: bool,
}

const DONE: Done = Done { r#return: true };

/// `MonitorInstances` and `UnmonitorInstances`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MonitorInstancesRequest {
    instance_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MonitorInstancesReply {
    instance_monitorings: Vec<InstanceMonitoring>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceMonitoring {
    instance_id: InstanceId,
    monitoring: MonitoringReply,
}

fn monitor(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: &MonitorInstancesRequest,
    monitored: bool,
) -> Result<MonitorInstancesReply, ApiError> {
    let mut instance_monitorings = Vec::new();
    for mut instance in instance::find_all(tx, ctx, &req.instance_ids)? {
        let before = instance.options.monitored;
        instance.options.monitored = monitored;
        // EC2 shows that it has begun to.
        let state = if before == monitored {
            word(monitored, ENABLED)
        } else {
            word(monitored, ("disabling", "pending"))
        };
        instance_monitorings.push(InstanceMonitoring {
            instance_id: instance.id,
            monitoring: MonitoringReply { state },
        });
        tx.put(instance);
    }
    Ok(MonitorInstancesReply {
        instance_monitorings,
    })
}

pub(crate) fn monitor_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: MonitorInstancesRequest,
) -> Result<MonitorInstancesReply, ApiError> {
    monitor(tx, ctx, &req, true)
}

pub(crate) fn unmonitor_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: MonitorInstancesRequest,
) -> Result<MonitorInstancesReply, ApiError> {
    monitor(tx, ctx, &req, false)
}

/// `ModifyInstanceMetadataOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMetadataOptionsRequest {
    instance_id: String,
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceMetadataOptionsReply {
    instance_id: InstanceId,
    instance_metadata_options: MetadataOptionsReply,
}

pub(crate) fn modify_instance_metadata_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMetadataOptionsRequest,
) -> Result<ModifyInstanceMetadataOptionsReply, ApiError> {
    let mut instance = to_change(tx, ctx, &req.instance_id)?;
    let new = MetadataOptionsRequest {
        http_tokens: req.http_tokens,
        http_put_response_hop_limit: req.http_put_response_hop_limit,
        http_endpoint: req.http_endpoint,
        http_protocol_ipv6: req.http_protocol_ipv6,
        instance_metadata_tags: req.instance_metadata_tags,
    }
    .read()?;
    if new == MetadataOptions::default() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "At least one metadata option must be specified",
        ));
    }
    instance.options.metadata = new.or(instance.options.metadata);
    // EC2 answers before it has applied them.
    let mut shown = instance.options.metadata.reply();
    shown.state = "pending";
    let instance_id = instance.id;
    tx.put(instance);
    Ok(ModifyInstanceMetadataOptionsReply {
        instance_id,
        instance_metadata_options: shown,
    })
}

fn account(tx: &Tx, ctx: &Context<'_>) -> Option<Account> {
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    tx.get::<Account>(&key).cloned()
}

fn defaults(tx: &Tx, ctx: &Context<'_>) -> MetadataOptions {
    account(tx, ctx)
        .map(|account| account.metadata_defaults)
        .unwrap_or_default()
}

/// `GetInstanceMetadataDefaults`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetInstanceMetadataDefaultsRequest {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetInstanceMetadataDefaultsReply {
    account_level: AccountLevel,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLevel {
    http_tokens: Option<&'static str>,
    http_put_response_hop_limit: Option<u32>,
    http_endpoint: Option<&'static str>,
    instance_metadata_tags: Option<&'static str>,
    http_tokens_enforced: Option<&'static str>,
    managed_by: &'static str,
}

pub(crate) fn get_instance_metadata_defaults(
    tx: &mut Tx,
    ctx: &Context<'_>,
    _: GetInstanceMetadataDefaultsRequest,
) -> Result<GetInstanceMetadataDefaultsReply, ApiError> {
    let defaults = defaults(tx, ctx);
    Ok(GetInstanceMetadataDefaultsReply {
        account_level: AccountLevel {
            http_tokens: defaults.tokens_required.map(|value| word(value, TOKENS)),
            http_put_response_hop_limit: defaults.hop_limit,
            http_endpoint: defaults.enabled.map(|value| word(value, ENABLED)),
            instance_metadata_tags: defaults.tags.map(|value| word(value, ENABLED)),
            http_tokens_enforced: defaults.tokens_enforced.map(|value| word(value, ENABLED)),
            managed_by: "account",
        },
    })
}

/// `ModifyInstanceMetadataDefaults`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMetadataDefaultsRequest {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_endpoint: Option<String>,
    instance_metadata_tags: Option<String>,
    http_tokens_enforced: Option<String>,
}

/// Sets defaults of the account; `no-preference`, or -1 for the hop limit, takes one back.
pub(crate) fn modify_instance_metadata_defaults(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMetadataDefaultsRequest,
) -> Result<Done, ApiError> {
    let mut account = account(tx, ctx).ok_or_else(|| ApiError::internal("no account"))?;
    let defaults = &mut account.metadata_defaults;
    let set = |slot: &mut Option<bool>, name: &str, value: Option<&str>, words| {
        match value {
            None => {}
            Some("no-preference") => *slot = None,
            Some(_) => *slot = either(name, value, words)?,
        }
        Ok::<(), ApiError>(())
    };
    set(
        &mut defaults.tokens_required,
        "HttpTokens",
        req.http_tokens.as_deref(),
        TOKENS,
    )?;
    set(
        &mut defaults.enabled,
        "HttpEndpoint",
        req.http_endpoint.as_deref(),
        ENABLED,
    )?;
    set(
        &mut defaults.tags,
        "InstanceMetadataTags",
        req.instance_metadata_tags.as_deref(),
        ENABLED,
    )?;
    set(
        &mut defaults.tokens_enforced,
        "HttpTokensEnforced",
        req.http_tokens_enforced.as_deref(),
        ENABLED,
    )?;
    match req.http_put_response_hop_limit {
        None => {}
        Some(-1) => defaults.hop_limit = None,
        number => defaults.hop_limit = hop_limit(number)?,
    }
    tx.put(account);
    Ok(DONE)
}

/// `ModifyInstancePlacement`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstancePlacementRequest {
    instance_id: String,
    group_name: Option<String>,
    group_id: Option<String>,
    partition_number: Option<i64>,
    tenancy: Option<String>,
}

/// Moves a stopped instance into a placement group, or with an empty name out of one.
pub(crate) fn modify_instance_placement(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstancePlacementRequest,
) -> Result<Done, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    if let Some(tenancy) = req.tenancy {
        instance.options.dedicated =
            match either("tenancy", Some(&tenancy), ("default", "dedicated")) {
                Ok(chosen) => chosen.unwrap_or(false),
                Err(_) if tenancy == "host" => {
                    return Err(resource::unsupported("Tenancy", &tenancy));
                }
                Err(error) => return Err(error),
            };
    }
    let leaves = req.group_name.as_deref() == Some("") && req.group_id.is_none();
    if leaves {
        instance.placement_group = None;
        instance.partition = None;
    }
    let chosen = chosen_group(tx, ctx, req.group_name.as_deref(), req.group_id.as_deref())?;
    let group = match (chosen, leaves, req.partition_number) {
        (Some(group), ..) => Some(group.clone()),
        (None, false, Some(_)) => instance
            .placement_group
            .and_then(|id| tx.get::<PlacementGroup>(&id).cloned()),
        (None, ..) => None,
    };
    if let Some(group) = group {
        check_in_group(&group, &instance.instance_type)?;
        // It does not count as its own neighbour.
        instance.placement_group = None;
        tx.put(instance.clone());
        instance.partition =
            placement_group::place(tx, &group, &instance.zone, req.partition_number)?;
        instance.placement_group = Some(group.id);
    } else if req.partition_number.is_some() {
        return Err(no_group());
    }
    tx.put(instance);
    Ok(DONE)
}

fn no_group() -> ApiError {
    ApiError::new(
        "InvalidParameterCombination",
        "The partition number can only be specified together with a placement group.",
    )
}

/// The placement group that a request names, if it names one.
///
/// # Errors
/// Those of the look-up, and `InvalidParameterCombination` for both a name and an id.
pub(crate) fn chosen_group<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<Option<&'t PlacementGroup>, ApiError> {
    let some = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
    match (name, id) {
        (name, id) if some(name) && some(id) => Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter GroupId cannot be used with the parameter GroupName",
        )),
        (Some(name), _) if !name.is_empty() => placement_group::by_name(tx, ctx, name).map(Some),
        (_, Some(id)) if !id.is_empty() => resource::find(tx, ctx, id).map(Some),
        _ => Ok(None),
    }
}

/// Checks that instances of the type may be in the group ("You can't use … burstable performance instances" in
/// cluster placement groups).
pub(crate) fn check_in_group(group: &PlacementGroup, instance_type: &str) -> Result<(), ApiError> {
    if group.strategy == placement_group::Strategy::Cluster
        && instance_type::is_burstable(instance_type)
    {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "Cluster placement groups are not supported by the '{instance_type}' instance type. Specify a \
                 supported instance type or change the placement group strategy, and try again."
            ),
        ));
    }
    Ok(())
}

/// Where `RunInstances` puts an instance: the group that it names, which has been checked.
pub(crate) fn launch_group(
    tx: &Tx,
    ctx: &Context<'_>,
    (name, id): (Option<&str>, Option<&str>),
    partition: Option<i64>,
    instance_type: &str,
) -> Result<Option<PlacementGroup>, ApiError> {
    let group = chosen_group(tx, ctx, name, id)?;
    match group {
        Some(group) => check_in_group(group, instance_type)?,
        None if partition.is_some() => return Err(no_group()),
        None => {}
    }
    Ok(group.cloned())
}

/// `ModifyInstanceCreditSpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCreditSpecificationRequest {
    /// Setting credits to the same value twice is one effect.
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
    instance_credit_specifications: Vec<CreditSpecification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreditSpecification {
    instance_id: String,
    cpu_credits: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceCreditSpecificationReply {
    successful_instance_credit_specifications: Vec<Successful>,
    unsuccessful_instance_credit_specifications: Vec<Unsuccessful>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Successful {
    instance_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unsuccessful {
    instance_id: String,
    error: UnsuccessfulError,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnsuccessfulError {
    code: String,
    message: String,
}

/// Sets the credits of each instance that it can, and tells of the others why not.
pub(crate) fn modify_instance_credit_specification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCreditSpecificationRequest,
) -> Result<ModifyInstanceCreditSpecificationReply, ApiError> {
    if req.instance_credit_specifications.is_empty() {
        return Err(resource::missing("InstanceCreditSpecification"));
    }
    let mut reply = ModifyInstanceCreditSpecificationReply {
        successful_instance_credit_specifications: Vec::new(),
        unsuccessful_instance_credit_specifications: Vec::new(),
    };
    for wanted in req.instance_credit_specifications {
        let credits = wanted
            .cpu_credits
            .ok_or_else(|| resource::missing("CpuCredits"))?;
        if !matches!(credits.as_str(), "standard" | "unlimited") {
            return Err(invalid("CpuCredits", &credits));
        }
        let changed = to_change(tx, ctx, &wanted.instance_id).and_then(|mut instance| {
            instance.options.credits = Some(checked_credits(&instance.instance_type, credits)?);
            Ok(instance)
        });
        match changed {
            Ok(instance) => {
                tx.put(instance);
                reply
                    .successful_instance_credit_specifications
                    .push(Successful {
                        instance_id: wanted.instance_id,
                    });
            }
            Err(error) => reply
                .unsuccessful_instance_credit_specifications
                .push(Unsuccessful {
                    instance_id: wanted.instance_id,
                    error: UnsuccessfulError {
                        code: error.code.into_owned(),
                        message: error.message,
                    },
                }),
        }
    }
    Ok(reply)
}

/// `DescribeInstanceCreditSpecifications`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceCreditSpecificationsRequest {
    instance_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceCreditSpecificationsReply {
    instance_credit_specifications: Vec<CreditItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreditItem {
    instance_id: InstanceId,
    cpu_credits: String,
}

/// The credits of burstable instances: without ids EC2 tells only of those that have the `unlimited` option.
pub(crate) fn describe_instance_credit_specifications(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstanceCreditSpecificationsRequest,
) -> Result<DescribeInstanceCreditSpecificationsReply, ApiError> {
    const FILTERS: &[Field<Instance>] = &[("instance-id", |_, i| vec![i.id.to_string()])];
    let query = Query {
        ids: req.instance_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<Instance>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let named = req.instance_ids.is_some_and(|ids| !ids.is_empty());
    let mut items = Vec::new();
    for instance in page.items {
        let Some(credits) = instance.credits() else {
            if named {
                return Err(ApiError::new(
                    "InstanceCreditSpecification.NotSupported",
                    format!(
                        "The instance '{}' does not support CPU credits.",
                        instance.id
                    ),
                ));
            }
            continue;
        };
        let alive = instance.state != InstanceState::Terminated;
        if alive && (named || credits == "unlimited") {
            items.push(CreditItem {
                instance_id: instance.id,
                cpu_credits: credits.to_owned(),
            });
        }
    }
    Ok(DescribeInstanceCreditSpecificationsReply {
        instance_credit_specifications: items,
        next_token: page.next_token,
    })
}

impl Instance {
    /// The credits of an instance of a burstable type: `standard` for T2 and `unlimited` for later families, unless
    /// the client chose.
    fn credits(&self) -> Option<&str> {
        if !instance_type::is_burstable(&self.instance_type) {
            return None;
        }
        let usual = if self.instance_type.starts_with("t2.") {
            "standard"
        } else {
            "unlimited"
        };
        Some(self.options.credits.as_deref().unwrap_or(usual))
    }
}

/// `ModifyInstanceMaintenanceOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMaintenanceOptionsRequest {
    instance_id: String,
    auto_recovery: Option<String>,
    reboot_migration: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceMaintenanceOptionsReply {
    instance_id: InstanceId,
    auto_recovery: &'static str,
    reboot_migration: &'static str,
}

pub(crate) fn modify_instance_maintenance_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceMaintenanceOptionsRequest,
) -> Result<ModifyInstanceMaintenanceOptionsReply, ApiError> {
    let mut instance = to_change(tx, ctx, &req.instance_id)?;
    let options = &mut instance.options;
    if let Some(off) = either("AutoRecovery", req.auto_recovery.as_deref(), RECOVERY)? {
        options.no_auto_recovery = off;
    }
    if let Some(off) = either("RebootMigration", req.reboot_migration.as_deref(), RECOVERY)? {
        options.no_reboot_migration = off;
    }
    let reply = ModifyInstanceMaintenanceOptionsReply {
        instance_id: instance.id,
        auto_recovery: word(options.no_auto_recovery, RECOVERY),
        reboot_migration: word(options.no_reboot_migration, RECOVERY),
    };
    tx.put(instance);
    Ok(reply)
}

/// `ModifyPrivateDnsNameOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyPrivateDnsNameOptionsRequest {
    instance_id: String,
    private_dns_hostname_type: Option<String>,
    #[serde(rename = "EnableResourceNameDnsARecord")]
    a: Option<bool>,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    aaaa: Option<bool>,
}

pub(crate) fn modify_private_dns_name_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyPrivateDnsNameOptionsRequest,
) -> Result<Done, ApiError> {
    let kind = either(
        "PrivateDnsHostnameType",
        req.private_dns_hostname_type.as_deref(),
        HOSTNAME,
    )?;
    // The kind of the name is the guest's host name, which it reads when it boots.
    let mut instance = if kind.is_some() {
        stopped(tx, ctx, &req.instance_id)?
    } else {
        to_change(tx, ctx, &req.instance_id)?
    };
    let dns = &mut instance.options.dns;
    dns.resource_name = kind.unwrap_or(dns.resource_name);
    dns.a = req.a.unwrap_or(dns.a);
    dns.aaaa = req.aaaa.unwrap_or(dns.aaaa);
    tx.put(instance);
    Ok(DONE)
}

/// `ModifyInstanceCpuOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCpuOptionsRequest {
    instance_id: String,
    core_count: i64,
    threads_per_core: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceCpuOptionsReply {
    instance_id: InstanceId,
    core_count: u32,
    threads_per_core: u32,
}

pub(crate) fn modify_instance_cpu_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCpuOptionsRequest,
) -> Result<ModifyInstanceCpuOptionsReply, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    let chosen = CpuRequest {
        core_count: Some(req.core_count),
        threads_per_core: Some(req.threads_per_core),
    }
    .read(&instance.instance_type)?;
    instance.options.cpu = chosen;
    let (core_count, threads_per_core) = chosen.unwrap_or_default();
    let instance_id = instance.id;
    tx.put(instance);
    Ok(ModifyInstanceCpuOptionsReply {
        instance_id,
        core_count,
        threads_per_core,
    })
}

/// `ModifyInstanceCapacityReservationAttributes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCapacityReservationAttributesRequest {
    instance_id: String,
    capacity_reservation_specification: ReservationRequest,
}

pub(crate) fn modify_instance_capacity_reservation_attributes(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCapacityReservationAttributesRequest,
) -> Result<Done, ApiError> {
    let mut instance = stopped(tx, ctx, &req.instance_id)?;
    instance.options.no_capacity_reservation = req.capacity_reservation_specification.read()?;
    tx.put(instance);
    Ok(DONE)
}

/// The name that the instance has in DNS if it is made of its id (EC2 "Resource name").
pub(crate) fn resource_name(id: InstanceId, region: &RegionName) -> String {
    if region.as_str() == "us-east-1" {
        format!("{id}.ec2.internal")
    } else {
        format!("{id}.{region}.compute.internal")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, at, count, text};

    fn run(world: &mut World, extra: &Value) -> String {
        let mut request = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1});
        for (name, value) in extra.as_object().unwrap() {
            request[name] = value.clone();
        }
        let made = world.ok("RunInstances", request);
        text(&made, "Instances.0.InstanceId")
    }

    fn shown(world: &mut World, id: &str, path: &str) -> String {
        let reply = world.ok("DescribeInstances", json!({"InstanceIds": [id]}));
        text(&reply, &format!("Reservations.0.Instances.0.{path}"))
    }

    #[test]
    fn what_is_launched_is_shown_and_found() {
        let mut world = World::new();
        world.ok(
            "CreateKeyPair",
            json!({"KeyName": "k", "KeyType": "ed25519"}),
        );
        run(&mut world, &json!({}));
        let id = run(
            &mut world,
            &json!({
                "KeyName": "k", "EbsOptimized": true, "Monitoring": {"Enabled": true},
                "IamInstanceProfile": {"Name": "p"},
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled",
                    "HttpProtocolIpv6": "enabled", "InstanceMetadataTags": "enabled"},
                "MaintenanceOptions": {"AutoRecovery": "disabled"},
                "CapacityReservationSpecification": {"CapacityReservationPreference": "none"},
                "PrivateDnsNameOptions": {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": true,
                    "EnableResourceNameDnsAAAARecord": true},
                "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
                "Placement": {"Tenancy": "dedicated"},
                "CreditSpecification": {"CpuCredits": "standard"},
            }),
        );
        for (path, filter, value) in [
            ("KeyName", "key-name", "k"),
            ("EbsOptimized", "ebs-optimized", "true"),
            ("Monitoring.State", "monitoring-state", "enabled"),
            (
                "IamInstanceProfile.Arn",
                "iam-instance-profile.arn",
                "arn:aws:iam::111122223333:instance-profile/p",
            ),
            (
                "MetadataOptions.HttpTokens",
                "metadata-options.http-tokens",
                "required",
            ),
            (
                "MetadataOptions.HttpPutResponseHopLimit",
                "metadata-options.http-put-response-hop-limit",
                "2",
            ),
            (
                "MetadataOptions.HttpProtocolIpv6",
                "metadata-options.http-protocol-ipv6",
                "enabled",
            ),
            (
                "MetadataOptions.InstanceMetadataTags",
                "metadata-options.instance-metadata-tags",
                "enabled",
            ),
            (
                "MaintenanceOptions.AutoRecovery",
                "maintenance-options.auto-recovery",
                "disabled",
            ),
            (
                "CapacityReservationSpecification.CapacityReservationPreference",
                "capacity-reservation-specification.capacity-reservation-preference",
                "none",
            ),
            (
                "PrivateDnsNameOptions.HostnameType",
                "private-dns-name-options.hostname-type",
                "resource-name",
            ),
            (
                "PrivateDnsNameOptions.EnableResourceNameDnsARecord",
                "private-dns-name-options.enable-resource-name-dns-a-record",
                "true",
            ),
            (
                "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord",
                "private-dns-name-options.enable-resource-name-dns-aaaa-record",
                "true",
            ),
            ("Placement.Tenancy", "tenancy", "dedicated"),
            (
                "PrivateDnsName",
                "private-dns-name",
                &format!("{id}.ec2.internal"),
            ),
        ] {
            assert_eq!(shown(&mut world, &id, path), value, "{path}");
            let query = json!({"Filters": [{"Name": filter, "Values": [value]}]});
            let found = world.ok("DescribeInstances", query);
            assert_eq!(count(&found, "Reservations"), 1, "{filter}");
        }
        assert_eq!(shown(&mut world, &id, "CpuOptions.ThreadsPerCore"), "1");
        let credits = json!({"InstanceIds": [id]});
        let credits = world.ok("DescribeInstanceCreditSpecifications", credits);
        let path = "InstanceCreditSpecifications.0.CpuCredits";
        assert_eq!(text(&credits, path), "standard");
        // Without ids only those with the unlimited option are told of: the other instance.
        let credits = world.ok("DescribeInstanceCreditSpecifications", json!({}));
        assert_eq!(count(&credits, "InstanceCreditSpecifications"), 1);
        assert_eq!(text(&credits, path), "unlimited");
    }

    #[test]
    fn options_change() {
        let mut world = World::new();
        let id = run(&mut world, &json!({}));
        let reply = world.ok("MonitorInstances", json!({"InstanceIds": [id]}));
        let path = "InstanceMonitorings.0.Monitoring.State";
        assert_eq!(text(&reply, path), "pending");
        assert_eq!(shown(&mut world, &id, "Monitoring.State"), "enabled");
        let reply = world.ok("UnmonitorInstances", json!({"InstanceIds": [id]}));
        assert_eq!(text(&reply, path), "disabling");
        let reply = world.ok(
            "ModifyInstanceMetadataOptions",
            json!({"InstanceId": id, "HttpTokens": "required"}),
        );
        assert_eq!(text(&reply, "InstanceMetadataOptions.State"), "pending");
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpTokens"),
            "required"
        );
        let reply = world.ok(
            "ModifyInstanceMaintenanceOptions",
            json!({"InstanceId": id, "RebootMigration": "disabled"}),
        );
        assert_eq!(text(&reply, "AutoRecovery"), "default");
        assert_eq!(text(&reply, "RebootMigration"), "disabled");
        let credits = |id: &str, kind: &str| {
            json!({"InstanceCreditSpecifications": [{"InstanceId": id, "CpuCredits": kind},
                {"InstanceId": "i-0123456789abcdef0", "CpuCredits": kind}]})
        };
        let reply = world.ok(
            "ModifyInstanceCreditSpecification",
            credits(&id, "standard"),
        );
        let path = "SuccessfulInstanceCreditSpecifications.0.InstanceId";
        assert_eq!(text(&reply, path), id);
        let path = "UnsuccessfulInstanceCreditSpecifications.0.Error.Code";
        assert_eq!(text(&reply, path), "InvalidInstanceID.NotFound");
        world.ok(
            "CreatePlacementGroup",
            json!({"GroupName": "s", "Strategy": "spread"}),
        );
        let stopped = [
            (
                "ModifyInstancePlacement",
                json!({"InstanceId": id, "GroupName": "s"}),
            ),
            (
                "ModifyPrivateDnsNameOptions",
                json!({"InstanceId": id, "PrivateDnsHostnameType": "resource-name"}),
            ),
            (
                "ModifyInstanceCpuOptions",
                json!({"InstanceId": id, "CoreCount": 1, "ThreadsPerCore": 1}),
            ),
            (
                "ModifyInstanceCapacityReservationAttributes",
                json!({"InstanceId": id, "CapacityReservationSpecification": {"CapacityReservationPreference": "none"}}),
            ),
        ];
        for (action, request) in &stopped {
            assert_eq!(world.err(action, request.clone()), "IncorrectInstanceState");
        }
        world.ok("StopInstances", json!({"InstanceIds": [id]}));
        for (action, request) in stopped {
            world.ok(action, request);
        }
        assert_eq!(shown(&mut world, &id, "Placement.GroupName"), "s");
        assert_eq!(
            shown(
                &mut world,
                &id,
                "CapacityReservationSpecification.CapacityReservationPreference"
            ),
            "none"
        );
        world.ok(
            "ModifyInstancePlacement",
            json!({"InstanceId": id, "GroupName": ""}),
        );
        world.ok("DeletePlacementGroup", json!({"GroupName": "s"}));
        world.ok("TerminateInstances", json!({"InstanceIds": [id]}));
        assert_eq!(
            world.err(
                "ModifyInstanceMetadataOptions",
                json!({"InstanceId": id, "HttpTokens": "required"})
            ),
            "IncorrectInstanceState"
        );
    }

    #[test]
    fn the_accounts_defaults_of_metadata() {
        let mut world = World::new();
        let set = json!({"HttpTokens": "required", "HttpPutResponseHopLimit": 3, "HttpTokensEnforced": "enabled"});
        world.ok("ModifyInstanceMetadataDefaults", set);
        let id = run(
            &mut world,
            &json!({"MetadataOptions": {"HttpPutResponseHopLimit": 5}}),
        );
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpTokens"),
            "required"
        );
        assert_eq!(
            shown(&mut world, &id, "MetadataOptions.HttpPutResponseHopLimit"),
            "5"
        );
        let launch = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1,
            "MetadataOptions": {"HttpTokens": "optional"}});
        assert_eq!(world.err("RunInstances", launch), "UnsupportedOperation");
        let back = json!({"HttpTokens": "no-preference", "HttpPutResponseHopLimit": -1, "HttpTokensEnforced": "disabled"});
        world.ok("ModifyInstanceMetadataDefaults", back);
        let reply = world.ok("GetInstanceMetadataDefaults", json!({}));
        assert_eq!(text(&reply, "AccountLevel.HttpTokensEnforced"), "disabled");
        let api::Value::Structure(level) = at(&reply, "AccountLevel") else {
            panic!("no structure")
        };
        assert!(
            !level.contains_key("HttpTokens") && !level.contains_key("HttpPutResponseHopLimit")
        );
        assert_eq!(
            world.err("ModifyInstanceMetadataDefaults", json!({"HttpTokens": "x"})),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut world = World::new();
        for (extra, code) in [
            (json!({"KeyName": "none"}), "InvalidKeyPair.NotFound"),
            (
                json!({"InstanceType": "m5.large", "CreditSpecification": {"CpuCredits": "standard"}}),
                "InstanceCreditSpecification.NotSupported",
            ),
            (
                json!({"CreditSpecification": {"CpuCredits": "x"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"IamInstanceProfile": {"Name": "a", "Arn": "b"}}),
                "InvalidParameterCombination",
            ),
            (
                json!({"IamInstanceProfile": {"Name": "a b"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"IamInstanceProfile": {"Arn": "b"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}),
                "InvalidParameterValue",
            ),
            (
                json!({"MetadataOptions": {"HttpTokens": "x"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"Placement": {"Tenancy": "host"}}),
                "UnsupportedOperation",
            ),
            (
                json!({"Placement": {"Tenancy": "x"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"CpuOptions": {"CoreCount": 1}}),
                "InvalidParameterCombination",
            ),
            (
                json!({"CpuOptions": {"CoreCount": 9, "ThreadsPerCore": 1}}),
                "InvalidParameterValue",
            ),
            (
                json!({"CapacityReservationSpecification": {"CapacityReservationPreference": "x"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"EnclaveOptions": {"Enabled": true}}),
                "UnsupportedOperation",
            ),
        ] {
            let mut request = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1});
            for (name, value) in extra.as_object().unwrap() {
                request[name] = value.clone();
            }
            assert_eq!(world.err("RunInstances", request), code, "{extra}");
        }
    }
}

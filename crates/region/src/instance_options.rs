//! What an instance is told to be besides its network: recorded, shown and changed; hosts do not know of it.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{InstanceId, ProfileAssociationId, RegionName};

use crate::filter::Field;
use crate::instance::Instance;
use crate::instance_credits::{CreditsRequest, checked_credits, of_account as credits_of_account};
use crate::instance_metadata_options::{
    MetadataOptions, MetadataOptionsReply, MetadataOptionsRequest, defaults,
};
use crate::instance_profile::{ProfileReply, ProfileRequest};
use crate::{Context, Timestamp, Tx, instance_type, resource};

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
    /// The association with that profile and since when it is there, if it is not the one of the launch.
    pub profile_association: Option<(ProfileAssociationId, Timestamp)>,
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

/// The error for a value of a parameter.
pub(crate) fn invalid(parameter: &str, value: &impl std::fmt::Display) -> ApiError {
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

/// The word for a truth.
pub(crate) const fn word(value: bool, (no, yes): (&'static str, &'static str)) -> &'static str {
    if value { yes } else { no }
}

pub(crate) const TOKENS: (&str, &str) = ("optional", "required");
pub(crate) const ENABLED: (&str, &str) = ("disabled", "enabled");
pub(crate) const RECOVERY: (&str, &str) = ("default", "disabled");
pub(crate) const HOSTNAME: (&str, &str) = ("ip-name", "resource-name");
const PREFERENCE: (&str, &str) = ("open", "none");

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
    pub(crate) core_count: Option<i64>,
    pub(crate) threads_per_core: Option<i64>,
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
            credits: match self.credits {
                Some(credits) => Some(checked_credits(instance_type, credits.cpu_credits)?),
                None => credits_of_account(tx, ctx, instance_type),
            },
            profile: self
                .profile
                .map(|profile| profile.read(ctx))
                .transpose()?
                .flatten(),
            profile_association: None,
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

impl ReservationRequest {
    pub(crate) fn read(self) -> Result<bool, ApiError> {
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
    pub(crate) fn read(self, instance_type: &str) -> Result<Option<(u32, u32)>, ApiError> {
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
    pub(crate) state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MaintenanceReply {
    pub(crate) auto_recovery: &'static str,
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
    pub(crate) enabled: bool,
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
            iam_instance_profile: self.profile.as_ref().map(ProfileReply::new),
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

    use crate::testing::{World, count, text};

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

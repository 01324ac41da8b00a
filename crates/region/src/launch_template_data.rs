//! What an instance would be launched from: the data of a launch template that makes one like it.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{GroupId, InterfaceId, SubnetId};

use crate::dispatch::actions;
use crate::filter::View;
use crate::instance::{self, Instance};
use crate::instance_metadata_options::MetadataOptionsReply;
use crate::instance_options::{
    Configured, CpuReply, DnsReply, MaintenanceReply, ReservationReply, Truth,
};
use crate::tags::Tag;
use crate::{Context, NetworkInterface, Tx, mortal};

actions! {
    "GetLaunchTemplateData" => get_launch_template_data, Control;
}

/// `GetLaunchTemplateData`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetLaunchTemplateDataRequest {
    instance_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetLaunchTemplateDataReply {
    launch_template_data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    image_id: String,
    instance_type: String,
    key_name: Option<String>,
    ebs_optimized: bool,
    iam_instance_profile: Option<Profile>,
    monitoring: Truth,
    network_interfaces: Vec<Interface>,
    placement: Placement,
    disable_api_termination: bool,
    disable_api_stop: bool,
    instance_initiated_shutdown_behavior: &'static str,
    user_data: Option<String>,
    tag_specifications: Vec<TagItem>,
    credit_specification: Option<Credits>,
    cpu_options: Option<CpuReply>,
    capacity_reservation_specification: ReservationReply,
    metadata_options: MetadataOptionsReply,
    maintenance_options: Maintenance,
    private_dns_name_options: DnsReply,
    enclave_options: Truth,
    hibernation_options: Configured,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Profile {
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Placement {
    availability_zone: String,
    group_name: Option<String>,
    partition_number: Option<u32>,
    tenancy: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagItem {
    resource_type: &'static str,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credits {
    cpu_credits: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Maintenance {
    auto_recovery: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Interface {
    device_index: u32,
    network_interface_id: InterfaceId,
    subnet_id: SubnetId,
    groups: Vec<GroupId>,
    description: String,
    delete_on_termination: bool,
    interface_type: &'static str,
    private_ip_addresses: Vec<PrivateAddress>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateAddress {
    primary: bool,
    private_ip_address: IpAddr,
}

fn interface(device_index: u32, record: &NetworkInterface) -> Interface {
    let addresses = record.addresses.iter().enumerate();
    Interface {
        device_index,
        network_interface_id: record.id,
        subnet_id: record.subnet,
        groups: record.groups.clone(),
        description: record.description.clone(),
        delete_on_termination: record
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.delete_on_termination),
        interface_type: record.kind.name(),
        private_ip_addresses: addresses
            .map(|(place, address)| PrivateAddress {
                primary: place == 0,
                private_ip_address: *address,
            })
            .collect(),
    }
}

fn data(view: &View<'_>, instance: &Instance) -> Data {
    let options = instance.options.reply(&instance.instance_type);
    let MaintenanceReply { auto_recovery, .. } = options.maintenance_options;
    let group = instance.placement_group;
    let tags = instance.tags.reply();
    Data {
        image_id: instance.image.clone(),
        instance_type: instance.instance_type.clone(),
        key_name: options.key_name,
        ebs_optimized: options.ebs_optimized,
        iam_instance_profile: instance
            .options
            .profile
            .as_ref()
            .map(|(arn, _)| Profile { arn: arn.clone() }),
        monitoring: Truth {
            enabled: instance.options.monitored,
        },
        network_interfaces: instance
            .interfaces
            .iter()
            .filter_map(|(index, id)| Some(interface(*index, view.interfaces.get(id)?)))
            .collect(),
        placement: Placement {
            availability_zone: view.zone_name(&instance.region, &instance.zone),
            group_name: group
                .and_then(|id| view.placement_groups.get(&id))
                .map(|group| group.name.clone()),
            partition_number: instance.partition,
            tenancy: instance.options.tenancy(),
        },
        disable_api_termination: instance.disable_api_termination,
        disable_api_stop: instance.options.disable_api_stop,
        instance_initiated_shutdown_behavior: if instance.terminate_on_shutdown {
            "terminate"
        } else {
            "stop"
        },
        user_data: Some(instance.user_data.clone()).filter(|data| !data.is_empty()),
        tag_specifications: if tags.is_empty() {
            Vec::new()
        } else {
            vec![TagItem {
                resource_type: "instance",
                tags,
            }]
        },
        credit_specification: instance.credits().map(|credits| Credits {
            cpu_credits: credits.to_owned(),
        }),
        cpu_options: options.cpu_options,
        capacity_reservation_specification: options.capacity_reservation_specification,
        metadata_options: options.metadata_options,
        maintenance_options: Maintenance { auto_recovery },
        private_dns_name_options: options.private_dns_name_options,
        enclave_options: options.enclave_options,
        hibernation_options: options.hibernation_options,
    }
}

/// What would launch an instance like that one. Its own interfaces and addresses are named, as EC2 does: who makes a
/// template of it takes out what only one instance can have.
pub(crate) fn get_launch_template_data(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetLaunchTemplateDataRequest,
) -> Result<GetLaunchTemplateDataReply, ApiError> {
    let instance = instance::find(tx, ctx, &req.instance_id)?;
    Ok(GetLaunchTemplateDataReply {
        launch_template_data: data(&mortal::view(tx, ctx), instance),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn a_template_is_made_of_an_instance() {
        let mut world = World::new();
        let launch = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1,
            "DisableApiTermination": false, "InstanceInitiatedShutdownBehavior": "terminate", "UserData": "aGk=",
            "IamInstanceProfile": {"Name": "p"}, "CreditSpecification": {"CpuCredits": "standard"},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]});
        let made = world.ok("RunInstances", launch);
        let id = text(&made, "Instances.0.InstanceId");
        let subnet = text(&made, "Instances.0.SubnetId");
        let shown = world.ok("GetLaunchTemplateData", json!({"InstanceId": id}));
        for (path, value) in [
            ("ImageId", "ami-12345678"),
            ("InstanceType", "t3.micro"),
            ("InstanceInitiatedShutdownBehavior", "terminate"),
            ("UserData", "aGk="),
            (
                "IamInstanceProfile.Arn",
                "arn:aws:iam::111122223333:instance-profile/p",
            ),
            ("CreditSpecification.CpuCredits", "standard"),
            ("NetworkInterfaces.0.SubnetId", &subnet),
            ("NetworkInterfaces.0.PrivateIpAddresses.0.Primary", "true"),
            ("TagSpecifications.0.Tags.0.Value", "b"),
            ("MetadataOptions.HttpEndpoint", "enabled"),
            ("Placement.Tenancy", "default"),
        ] {
            let path = format!("LaunchTemplateData.{path}");
            assert_eq!(text(&shown, &path), value, "{path}");
        }
        let unknown = json!({"InstanceId": "i-01234567"});
        assert_eq!(
            world.err("GetLaunchTemplateData", unknown),
            "InvalidInstanceID.NotFound"
        );
    }
}

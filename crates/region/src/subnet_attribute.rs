//! Attributes of subnets.

use api::ApiError;
use serde::Deserialize;

use crate::dispatch::actions;
use crate::resource;
use crate::vpc_attribute::BooleanAttribute;
use crate::{Context, Subnet, Tx};

actions! {
    "ModifySubnetAttribute" => modify_subnet_attribute, Enforced;
}

/// `ModifySubnetAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifySubnetAttributeRequest {
    subnet_id: String,
    assign_ipv6_address_on_creation: Option<BooleanAttribute>,
    map_public_ip_on_launch: Option<BooleanAttribute>,
    map_customer_owned_ip_on_launch: Option<BooleanAttribute>,
    enable_dns64: Option<BooleanAttribute>,
    private_dns_hostname_type_on_launch: Option<String>,
    #[serde(rename = "EnableResourceNameDnsARecordOnLaunch")]
    enable_a_record: Option<BooleanAttribute>,
    #[serde(rename = "EnableResourceNameDnsAAAARecordOnLaunch")]
    enable_aaaa_record: Option<BooleanAttribute>,
}

/// Changes one attribute ("You can only modify one attribute at a time").
pub(crate) fn modify_subnet_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifySubnetAttributeRequest,
) -> Result<(), ApiError> {
    let mut subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?.clone();
    let value = |attribute: Option<BooleanAttribute>| attribute.and_then(|a| a.value);
    let truths = [
        req.assign_ipv6_address_on_creation,
        req.map_public_ip_on_launch,
        req.map_customer_owned_ip_on_launch,
        req.enable_dns64,
        req.enable_a_record,
        req.enable_aaaa_record,
    ]
    .map(value);
    let given = truths.iter().flatten().count()
        + usize::from(req.private_dns_hostname_type_on_launch.is_some());
    if given == 0 {
        return Err(resource::missing("attribute"));
    }
    if given > 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Only one subnet attribute can be modified at a time",
        ));
    }
    let [ipv6, public, customer_owned, dns64, a_record, aaaa_record] = truths;
    resource::only_false("MapCustomerOwnedIpOnLaunch", customer_owned)?;
    if ipv6 == Some(true) && subnet.ipv6.is_none() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "Invalid value 'true' for assignIpv6AddressOnCreation. Subnet must be associated with an IPv6 CIDR block first.",
        ));
    }
    let on_launch = &mut subnet.on_launch;
    on_launch.ipv6_address = ipv6.unwrap_or(on_launch.ipv6_address);
    on_launch.a_record = a_record.unwrap_or(on_launch.a_record);
    on_launch.aaaa_record = aaaa_record.unwrap_or(on_launch.aaaa_record);
    subnet.public_on_launch = public.unwrap_or(subnet.public_on_launch);
    subnet.dns64 = dns64.unwrap_or(subnet.dns64);
    match req.private_dns_hostname_type_on_launch.as_deref() {
        None => {}
        Some("ip-name") => on_launch.named_by_resource = false,
        Some("resource-name") => on_launch.named_by_resource = true,
        Some(other) => {
            return Err(resource::invalid_value(
                &other,
                "privateDnsHostnameTypeOnLaunch",
            ));
        }
    }
    tx.put(subnet);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    fn subnet(world: &mut World) -> String {
        text(
            &world.ok("DescribeSubnets", json!({})),
            "Subnets.0.SubnetId",
        )
    }

    #[test]
    fn attributes_one_at_a_time() {
        let mut world = World::new();
        let id = subnet(&mut world);
        for (member, value, path, shown) in [
            ("EnableDns64", json!({"Value": true}), "EnableDns64", "true"),
            (
                "EnableResourceNameDnsARecordOnLaunch",
                json!({"Value": true}),
                "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord",
                "true",
            ),
            (
                "EnableResourceNameDnsAAAARecordOnLaunch",
                json!({"Value": true}),
                "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord",
                "true",
            ),
            (
                "PrivateDnsHostnameTypeOnLaunch",
                json!("resource-name"),
                "PrivateDnsNameOptionsOnLaunch.HostnameType",
                "resource-name",
            ),
            (
                "MapPublicIpOnLaunch",
                json!({"Value": false}),
                "MapPublicIpOnLaunch",
                "false",
            ),
            (
                "MapPublicIpOnLaunch",
                json!({"Value": true}),
                "MapPublicIpOnLaunch",
                "true",
            ),
        ] {
            world.ok(
                "ModifySubnetAttribute",
                json!({"SubnetId": id, member: value}),
            );
            let reply = world.ok("DescribeSubnets", json!({"SubnetIds": [id]}));
            assert_eq!(text(&reply, &format!("Subnets.0.{path}")), shown);
        }
        let two = json!({"SubnetId": id, "EnableDns64": {"Value": true}, "MapPublicIpOnLaunch": {"Value": false}});
        assert_eq!(
            world.err("ModifySubnetAttribute", two),
            "InvalidParameterCombination"
        );
        let none = json!({"SubnetId": id});
        assert_eq!(world.err("ModifySubnetAttribute", none), "MissingParameter");
        let strange = json!({"SubnetId": id, "PrivateDnsHostnameTypeOnLaunch": "x"});
        assert_eq!(
            world.err("ModifySubnetAttribute", strange),
            "InvalidParameterValue"
        );
        let without_block = json!({"SubnetId": id, "AssignIpv6AddressOnCreation": {"Value": true}});
        assert_eq!(
            world.err("ModifySubnetAttribute", without_block),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn addresses_of_the_customer_s_own_are_not_promised() {
        let mut world = World::new();
        let id = subnet(&mut world);
        let request = json!({"SubnetId": id, "MapCustomerOwnedIpOnLaunch": {"Value": true}});
        let error = world.call("ModifySubnetAttribute", &request).unwrap_err();
        let message = &error.message;
        assert!(message.contains("MapCustomerOwnedIpOnLaunch"), "{message}");
    }
}

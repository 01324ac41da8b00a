//! Tests of managers, scopes, pools and allocations.

use serde_json::{Value as Json, json};

use crate::testing::{World, account, at, count, text};

/// A manager with a pool of 10.0.0.0/16 in its private scope: ids of manager, scope and pool.
fn pool(world: &mut World, more: &Json) -> (String, String, String) {
    let ipam = world.ok(
        "CreateIpam",
        json!({"OperatingRegions": [{"RegionName": "us-east-1"}]}),
    );
    let scope = text(&ipam, "Ipam.PrivateDefaultScopeId");
    let mut request = json!({"IpamScopeId": scope, "AddressFamily": "ipv4", "Locale": "us-east-1"});
    if let (Some(request), Some(more)) = (request.as_object_mut(), more.as_object()) {
        request.extend(more.clone());
    }
    let made = world.ok("CreateIpamPool", request);
    let id = text(&made, "IpamPool.IpamPoolId");
    world.ok(
        "ProvisionIpamPoolCidr",
        json!({"IpamPoolId": id, "Cidr": "10.0.0.0/16"}),
    );
    (text(&ipam, "Ipam.IpamId"), scope, id)
}

fn allocate(world: &mut World, pool: &str, more: Json) -> Result<String, (String, String)> {
    let mut request = json!({"IpamPoolId": pool});
    if let (Some(request), Json::Object(more)) = (request.as_object_mut(), more) {
        request.extend(more);
    }
    world
        .call("AllocateIpamPoolCidr", &request)
        .map(|made| text(&made, "IpamPoolAllocation.Cidr"))
        .map_err(|error| (error.code.into_owned(), error.message))
}

#[test]
fn life_of_a_manager() {
    let mut world = World::new();
    world.settle = 1000;
    let made = world.ok(
        "CreateIpam",
        json!({"Description": "ours", "ClientToken": "t"}),
    );
    let id = text(&made, "Ipam.IpamId");
    assert_eq!(text(&made, "Ipam.State"), "create-in-progress");
    assert_eq!(text(&made, "Ipam.ScopeCount"), "2");
    assert_eq!(
        text(&made, "Ipam.OperatingRegions.0.RegionName"),
        "us-east-1"
    );
    let again = world.ok(
        "CreateIpam",
        json!({"Description": "ours", "ClientToken": "t"}),
    );
    assert_eq!(text(&again, "Ipam.IpamId"), id);
    assert_eq!(world.err("CreateIpam", json!({})), "IpamLimitExceeded");
    world.now.0 += 1000;
    let shown = world.ok("DescribeIpams", json!({"IpamIds": [id]}));
    assert_eq!(text(&shown, "Ipams.0.State"), "create-complete");
    assert_eq!(
        text(&shown, "Ipams.0.IpamArn"),
        format!("arn:aws:ec2::111122223333:ipam/{id}")
    );
    let change =
        json!({"IpamId": id, "AddOperatingRegions": [{"RegionName": "eu-west-1"}], "Tier": "free"});
    let changed = world.ok("ModifyIpam", change);
    assert_eq!(text(&changed, "Ipam.State"), "modify-complete");
    assert_eq!(count(&changed, "Ipam.OperatingRegions"), 2);
    assert_eq!(text(&changed, "Ipam.Tier"), "free");
    for wrong in [
        json!({"IpamId": id, "Tier": "golden"}),
        json!({"IpamId": id, "AddOperatingRegions": [{"RegionName": "mars-1"}]}),
        json!({"IpamId": id, "RemoveOperatingRegions": [{"RegionName": "us-east-1"}]}),
    ] {
        assert_eq!(world.err("ModifyIpam", wrong), "InvalidParameterValue");
    }
    // Nobody else knows it.
    world.account = account("444455556666");
    assert_eq!(
        world.err("DeleteIpam", json!({"IpamId": id})),
        "InvalidIpamId.NotFound"
    );
    world.account = account("111122223333");
    let gone = world.ok("DeleteIpam", json!({"IpamId": id}));
    assert_eq!(text(&gone, "Ipam.State"), "delete-complete");
    assert!(world.state.ipams.size() == 0 && world.state.ipam_scopes.size() == 0);
}

#[test]
fn scopes_come_change_and_go() {
    let mut world = World::new();
    let (ipam, default, _) = pool(&mut world, &json!({}));
    let made = world.ok(
        "CreateIpamScope",
        json!({"IpamId": ipam, "Description": "lab"}),
    );
    let id = text(&made, "IpamScope.IpamScopeId");
    assert_eq!(text(&made, "IpamScope.IpamScopeType"), "private");
    assert_eq!(text(&made, "IpamScope.IsDefault"), "false");
    let changed = world.ok(
        "ModifyIpamScope",
        json!({"IpamScopeId": id, "Description": "x"}),
    );
    assert_eq!(text(&changed, "IpamScope.Description"), "x");
    let of = |name: &str, value: &str| json!({"Filters": [{"Name": name, "Values": [value]}]});
    for (name, value, number) in [
        ("ipam-id", ipam.as_str(), 3),
        ("ipam-scope-type", "public", 1),
        ("is-default", "false", 1),
        ("ipam-scope-id", id.as_str(), 1),
        ("state", "modify-complete", 1),
        ("owner-id", "444455556666", 0),
    ] {
        let found = world.ok("DescribeIpamScopes", of(name, value));
        assert_eq!(count(&found, "IpamScopes"), number, "{name}");
    }
    assert_eq!(
        world.err("DeleteIpamScope", json!({"IpamScopeId": default})),
        "OperationNotPermitted"
    );
    // The same block again, in another scope.
    let second = world.ok(
        "CreateIpamPool",
        json!({"IpamScopeId": id, "AddressFamily": "ipv4"}),
    );
    let second = text(&second, "IpamPool.IpamPoolId");
    world.ok(
        "ProvisionIpamPoolCidr",
        json!({"IpamPoolId": second, "Cidr": "10.0.0.0/8"}),
    );
    assert_eq!(
        world.err("DeleteIpamScope", json!({"IpamScopeId": id})),
        "DependencyViolation"
    );
    assert_eq!(
        world.err("DeleteIpam", json!({"IpamId": ipam})),
        "DependencyViolation"
    );
    world.ok("DeleteIpam", json!({"IpamId": ipam, "Cascade": true}));
    assert_eq!(world.state.ipam_pools.size(), 0);
}

#[test]
fn pools_are_parts_of_pools() {
    let mut world = World::new();
    let (_, scope, top) = pool(&mut world, &json!({}));
    let child = |locale: &str| json!({"IpamScopeId": scope, "AddressFamily": "ipv4", "SourceIpamPoolId": top, "Locale": locale});
    assert_eq!(
        world.err("CreateIpamPool", child("eu-west-1")),
        "InvalidParameterValue"
    );
    let made = world.ok("CreateIpamPool", child("us-east-1"));
    assert_eq!(text(&made, "IpamPool.PoolDepth"), "2");
    let part = text(&made, "IpamPool.IpamPoolId");
    let given = world.ok(
        "ProvisionIpamPoolCidr",
        json!({"IpamPoolId": part, "NetmaskLength": 20}),
    );
    assert_eq!(text(&given, "IpamPoolCidr.Cidr"), "10.0.0.0/20");
    assert_eq!(text(&given, "IpamPoolCidr.State"), "pending-provision");
    let shown = world.ok("GetIpamPoolCidrs", json!({"IpamPoolId": part}));
    assert_eq!(text(&shown, "IpamPoolCidrs.0.State"), "provisioned");
    // The source has it as an allocation, which nobody can release by hand.
    let shown = world.ok("GetIpamPoolAllocations", json!({"IpamPoolId": top}));
    assert_eq!(
        text(&shown, "IpamPoolAllocations.0.ResourceType"),
        "ipam-pool"
    );
    assert_eq!(text(&shown, "IpamPoolAllocations.0.ResourceId"), part);
    let allocation = text(&shown, "IpamPoolAllocations.0.IpamPoolAllocationId");
    let release =
        json!({"IpamPoolId": top, "Cidr": "10.0.0.0/20", "IpamPoolAllocationId": allocation});
    assert_eq!(
        world.err("ReleaseIpamPoolAllocation", release),
        "OperationNotPermitted"
    );
    assert_eq!(
        allocate(&mut world, &top, json!({"NetmaskLength": 20})),
        Ok("10.0.16.0/20".to_owned())
    );
    assert_eq!(
        allocate(&mut world, &part, json!({"Cidr": "10.0.1.0/24"})),
        Ok("10.0.1.0/24".to_owned())
    );
    let back = json!({"IpamPoolId": part, "Cidr": "10.0.0.0/20"});
    assert_eq!(
        world.err("DeprovisionIpamPoolCidr", back.clone()),
        "IncorrectState"
    );
    assert_eq!(
        world.err("DeleteIpamPool", json!({"IpamPoolId": top})),
        "DependencyViolation"
    );
    let shown = world.ok("GetIpamPoolAllocations", json!({"IpamPoolId": part}));
    let allocation = text(&shown, "IpamPoolAllocations.0.IpamPoolAllocationId");
    let mut release =
        json!({"IpamPoolId": part, "Cidr": "10.0.2.0/24", "IpamPoolAllocationId": allocation});
    assert_eq!(
        world.err("ReleaseIpamPoolAllocation", release.clone()),
        "InvalidParameterValue"
    );
    release["Cidr"] = json!("10.0.1.0/24");
    world.ok("ReleaseIpamPoolAllocation", release.clone());
    assert_eq!(
        world.err("ReleaseIpamPoolAllocation", release),
        "InvalidIpamPoolAllocationId.NotFound"
    );
    world.ok("DeprovisionIpamPoolCidr", back.clone());
    assert_eq!(
        world.err("DeprovisionIpamPoolCidr", back),
        "InvalidIpamPoolCidr.NotFound"
    );
    assert_eq!(
        allocate(&mut world, &top, json!({"NetmaskLength": 20})),
        Ok("10.0.0.0/20".to_owned())
    );
    world.ok(
        "DeleteIpamPool",
        json!({"IpamPoolId": top, "Cascade": true}),
    );
    assert!(world.state.ipam_pools.size() == 0 && world.state.ipam_allocations.size() == 0);
}

#[test]
fn rules_say_what_is_allocated() {
    let mut world = World::new();
    let rules = json!({"AllocationMinNetmaskLength": 20, "AllocationMaxNetmaskLength": 24,
        "AllocationDefaultNetmaskLength": 24});
    let (_, scope, id) = pool(&mut world, &rules);
    let mut got = |more: Json| allocate(&mut world, &id, more).map_err(|(code, _)| code);
    let invalid = || Err("InvalidParameterValue".to_owned());
    let fits = |cidr: &str| Ok(cidr.to_owned());
    assert_eq!(got(json!({"PreviewNextCidr": true})), fits("10.0.0.0/24"));
    assert_eq!(got(json!({})), fits("10.0.0.0/24"));
    assert_eq!(got(json!({"NetmaskLength": 20})), fits("10.0.16.0/20"));
    assert_eq!(got(json!({"NetmaskLength": 23})), fits("10.0.2.0/23"));
    assert_eq!(got(json!({})), fits("10.0.1.0/24"));
    assert_eq!(got(json!({"NetmaskLength": 19})), invalid());
    assert_eq!(got(json!({"NetmaskLength": 25})), invalid());
    assert_eq!(got(json!({"Cidr": "10.0.1.0/24"})), invalid());
    assert_eq!(got(json!({"Cidr": "10.1.0.0/24"})), invalid());
    assert_eq!(got(json!({"Cidr": "fd00::/24"})), invalid());
    assert_eq!(
        got(json!({"Cidr": "10.0.9.0/24", "NetmaskLength": 24})),
        Err("InvalidParameterCombination".to_owned())
    );
    let narrow = json!({"AllowedCidrs": ["10.0.64.0/18"], "DisallowedCidrs": ["10.0.64.0/20"]});
    assert_eq!(got(narrow), fits("10.0.80.0/24"));
    let full = json!({"NetmaskLength": 20, "AllowedCidrs": ["10.0.0.0/20"]});
    assert_eq!(
        allocate(&mut world, &id, full),
        Err((
            "InvalidParameterValue".to_owned(),
            "The allocation size is too big for the pool.".to_owned()
        ))
    );
    let change =
        json!({"IpamPoolId": id, "ClearAllocationDefaultNetmaskLength": true, "AutoImport": true});
    let changed = world.ok("ModifyIpamPool", change);
    assert_eq!(text(&changed, "IpamPool.AutoImport"), "true");
    assert_eq!(
        allocate(&mut world, &id, json!({})).map_err(|(code, _)| code),
        Err("InvalidParameterCombination".to_owned())
    );
    let wrong = json!({"IpamPoolId": id, "AllocationMinNetmaskLength": 28});
    assert_eq!(
        world.err("ModifyIpamPool", wrong),
        "InvalidParameterCombination"
    );
    let of = |name: &str, value: &str| json!({"Filters": [{"Name": name, "Values": [value]}]});
    for (name, value, number) in [
        ("address-family", "ipv4", 1),
        ("locale", "us-east-1", 1),
        ("ipam-scope-id", scope.as_str(), 1),
        ("allocation-max-netmask-length", "24", 1),
        ("auto-import", "false", 0),
    ] {
        let found = world.ok("DescribeIpamPools", of(name, value));
        assert_eq!(count(&found, "IpamPools"), number, "{name}");
    }
    let mut only = of("cidr", "10.0.1.0/24");
    only["IpamPoolId"] = json!(id);
    let found = world.ok("GetIpamPoolAllocations", only);
    assert_eq!(count(&found, "IpamPoolAllocations"), 1);
}

#[test]
fn blocks_are_provisioned_once_in_a_scope() {
    let mut world = World::new();
    let (ipam, scope, id) = pool(&mut world, &json!({}));
    let provision = |pool: &str, cidr: &str| json!({"IpamPoolId": pool, "Cidr": cidr});
    for wrong in ["10.0.1.0/24", "10.0.0.0/8", "x", "fd00::/48"] {
        assert_eq!(
            world.err("ProvisionIpamPoolCidr", provision(&id, wrong)),
            "InvalidParameterValue",
            "{wrong}"
        );
    }
    let mut twice = provision(&id, "10.1.0.0/16");
    twice["ClientToken"] = json!("t");
    world.ok("ProvisionIpamPoolCidr", twice.clone());
    world.ok("ProvisionIpamPoolCidr", twice);
    let shown = world.ok("GetIpamPoolCidrs", json!({"IpamPoolId": id}));
    assert_eq!(count(&shown, "IpamPoolCidrs"), 2);
    let length = json!({"IpamPoolId": id, "NetmaskLength": 16});
    assert_eq!(
        world.err("ProvisionIpamPoolCidr", length),
        "InvalidParameterCombination"
    );
    let six = world.ok(
        "CreateIpamPool",
        json!({"IpamScopeId": scope, "AddressFamily": "ipv6"}),
    );
    let six = text(&six, "IpamPool.IpamPoolId");
    assert_eq!(
        world.err("ProvisionIpamPoolCidr", provision(&six, "2001:db8::/32")),
        "InvalidParameterValue"
    );
    world.ok("ProvisionIpamPoolCidr", provision(&six, "fd12::/32"));
    assert_eq!(
        allocate(&mut world, &six, json!({"NetmaskLength": 56})),
        Ok("fd12::/56".to_owned())
    );
    world.ok(
        "ModifyIpam",
        json!({"IpamId": ipam, "EnablePrivateGua": true}),
    );
    world.ok("ProvisionIpamPoolCidr", provision(&six, "2001:db8::/32"));
    let shown = world.ok("DescribeIpams", json!({}));
    let public = json!({"IpamScopeId": text(&shown, "Ipams.0.PublicDefaultScopeId"), "AddressFamily": "ipv4"});
    let public = world.ok("CreateIpamPool", public);
    let public = text(&public, "IpamPool.IpamPoolId");
    assert_eq!(
        world.err(
            "ProvisionIpamPoolCidr",
            provision(&public, "203.0.113.0/24")
        ),
        "UnsupportedOperation"
    );
    assert_eq!(
        world.err("DeleteIpam", json!({"IpamId": ipam, "Cascade": true})),
        "DependencyViolation"
    );
}

#[test]
fn blocks_of_vpcs_are_allocations() {
    let mut world = World::new();
    let rules = json!({"AllocationResourceTags": [{"Key": "env", "Value": "lab"}]});
    let (_, _, id) = pool(&mut world, &rules);
    let tags = json!([{"ResourceType": "vpc", "Tags": [{"Key": "env", "Value": "lab"}]}]);
    let vpc = |more: Json| {
        let mut request = json!({"Ipv4IpamPoolId": id, "TagSpecifications": tags});
        if let (Some(request), Json::Object(more)) = (request.as_object_mut(), more) {
            request.extend(more);
        }
        request
    };
    assert_eq!(
        world.err(
            "CreateVpc",
            json!({"Ipv4IpamPoolId": id, "Ipv4NetmaskLength": 20})
        ),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.err("CreateVpc", vpc(json!({}))),
        "InvalidParameterCombination"
    );
    assert_eq!(
        world.err("CreateVpc", vpc(json!({"Ipv4NetmaskLength": 29}))),
        "InvalidVpc.Range"
    );
    assert_eq!(
        world.err("CreateVpc", json!({"Ipv4NetmaskLength": 20})),
        "MissingParameter"
    );
    let made = world.ok("CreateVpc", vpc(json!({"Ipv4NetmaskLength": 20})));
    let first = text(&made, "Vpc.VpcId");
    assert_eq!(text(&made, "Vpc.CidrBlock"), "10.0.0.0/20");
    // Beside a block of 10.0.0.0/15 there may be none of 10.0.0.0/16.
    let further = json!({"IpamPoolId": id, "Cidr": "10.4.0.0/16"});
    world.ok("ProvisionIpamPoolCidr", further);
    let made = world.ok("CreateVpc", vpc(json!({"CidrBlock": "10.4.32.0/20"})));
    assert_eq!(text(&made, "Vpc.CidrBlock"), "10.4.32.0/20");
    let second = text(&made, "Vpc.VpcId");
    let more = json!({"VpcId": second, "Ipv4IpamPoolId": id, "Ipv4NetmaskLength": 24});
    let more = world.ok("AssociateVpcCidrBlock", more);
    assert_eq!(
        text(&more, "CidrBlockAssociation.CidrBlock"),
        "10.0.16.0/24"
    );
    let shown = world.ok("GetIpamPoolAllocations", json!({"IpamPoolId": id}));
    assert_eq!(count(&shown, "IpamPoolAllocations"), 3);
    let one = at(&shown, "IpamPoolAllocations.0");
    assert_eq!(text(one, "ResourceType"), "vpc");
    assert_eq!(text(one, "ResourceRegion"), "us-east-1");
    let association = text(&more, "CidrBlockAssociation.AssociationId");
    world.ok(
        "DisassociateVpcCidrBlock",
        json!({"AssociationId": association}),
    );
    world.ok("DeleteVpc", json!({"VpcId": first}));
    let shown = world.ok("GetIpamPoolAllocations", json!({"IpamPoolId": id}));
    assert_eq!(count(&shown, "IpamPoolAllocations"), 1);
    assert_eq!(text(&shown, "IpamPoolAllocations.0.ResourceId"), second);
    // The VPC stays when its pool goes.
    world.ok("DeleteIpamPool", json!({"IpamPoolId": id, "Cascade": true}));
    world.ok("DeleteVpc", json!({"VpcId": second}));
}

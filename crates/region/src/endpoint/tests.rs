use serde_json::{Value as Json, json};

use crate::testing::{World, account, at, count, text};

const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/a/0123456789abcdef";
const OTHER: &str = "444455556666";

struct Scene {
    world: World,
    vpc: String,
    subnets: Vec<String>,
    table: String,
}

fn scene() -> Scene {
    let mut world = World::new();
    let made = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
    let vpc = text(&made, "Vpc.VpcId");
    let subnets = [
        ("10.0.1.0/24", "us-east-1a"),
        ("10.0.2.0/24", "us-east-1b"),
        ("10.0.3.0/24", "us-east-1b"),
    ]
    .map(|(cidr, zone)| {
        let request = json!({"VpcId": vpc, "CidrBlock": cidr, "AvailabilityZone": zone});
        text(&world.ok("CreateSubnet", request), "Subnet.SubnetId")
    })
    .to_vec();
    let filters = json!({"Filters": [{"Name": "vpc-id", "Values": [vpc]}]});
    let tables = world.ok("DescribeRouteTables", filters);
    let table = text(&tables, "RouteTables.0.RouteTableId");
    Scene {
        world,
        vpc,
        subnets,
        table,
    }
}

impl Scene {
    fn endpoint(&self, service: &str, kind: &str, more: &Json) -> Json {
        let mut request =
            json!({"VpcId": self.vpc, "ServiceName": service, "VpcEndpointType": kind});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    }
}

#[test]
fn a_gateway_endpoint_is_a_route() {
    let mut s = scene();
    let request = s.endpoint(
        "com.amazonaws.us-east-1.s3",
        "Gateway",
        &json!({"RouteTableIds": [s.table]}),
    );
    let made = s.world.ok("CreateVpcEndpoint", request.clone());
    let id = text(&made, "VpcEndpoint.VpcEndpointId");
    assert_eq!(text(&made, "VpcEndpoint.State"), "available");
    assert!(text(&made, "VpcEndpoint.PolicyDocument").contains("Allow"));
    assert_eq!(
        s.world.err("CreateVpcEndpoint", request),
        "RouteAlreadyExists"
    );
    let tables = s
        .world
        .ok("DescribeRouteTables", json!({"RouteTableIds": [s.table]}));
    assert_eq!(text(&tables, "RouteTables.0.Routes.1.GatewayId"), id);
    assert!(text(&tables, "RouteTables.0.Routes.1.DestinationPrefixListId").starts_with("pl-"));
    assert_eq!(
        s.world.err("DeleteVpc", json!({"VpcId": s.vpc})),
        "DependencyViolation"
    );
    let change =
        json!({"VpcEndpointId": id, "RemoveRouteTableIds": [s.table], "PolicyDocument": "{}"});
    assert_eq!(
        s.world.err("ModifyVpcEndpoint", change),
        "InvalidPolicyDocument"
    );
    let policy =
        r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
    let change =
        json!({"VpcEndpointId": id, "RemoveRouteTableIds": [s.table], "PolicyDocument": policy});
    s.world.ok("ModifyVpcEndpoint", change);
    let tables = s
        .world
        .ok("DescribeRouteTables", json!({"RouteTableIds": [s.table]}));
    assert_eq!(count(&tables, "RouteTables.0.Routes"), 1);
    let shown = s
        .world
        .ok("DescribeVpcEndpoints", json!({"VpcEndpointIds": [id]}));
    assert_eq!(text(&shown, "VpcEndpoints.0.PolicyDocument"), policy);
    // A route table that goes takes its routes with it.
    let made = s.world.ok("CreateRouteTable", json!({"VpcId": s.vpc}));
    let table = text(&made, "RouteTable.RouteTableId");
    s.world.ok(
        "ModifyVpcEndpoint",
        json!({"VpcEndpointId": id, "AddRouteTableIds": [table], "ResetPolicy": true}),
    );
    s.world
        .ok("DeleteRouteTable", json!({"RouteTableId": table}));
    let shown = s
        .world
        .ok("DescribeVpcEndpoints", json!({"VpcEndpointIds": [id]}));
    assert_eq!(count(&shown, "VpcEndpoints.0.RouteTableIds"), 0);
    s.world.settle = 1000;
    let gone = s.world.ok(
        "DeleteVpcEndpoints",
        json!({"VpcEndpointIds": [id, "vpce-0123456789abcdef0"]}),
    );
    assert_eq!(count(&gone, "Unsuccessful"), 1);
    assert_eq!(
        text(&gone, "Unsuccessful.0.Error.Code"),
        "InvalidVpcEndpointId.NotFound"
    );
    let shown = s
        .world
        .ok("DescribeVpcEndpoints", json!({"VpcEndpointIds": [id]}));
    assert_eq!(text(&shown, "VpcEndpoints.0.State"), "deleting");
    s.world.now.0 += 1000;
    let filters = json!({"Filters": [{"Name": "vpc-endpoint-state", "Values": ["deleted"]}]});
    assert_eq!(
        count(&s.world.ok("DescribeVpcEndpoints", filters), "VpcEndpoints"),
        1
    );
    s.world.now.0 += 3_600_001;
    assert_eq!(
        count(
            &s.world.ok("DescribeVpcEndpoints", json!({})),
            "VpcEndpoints"
        ),
        0
    );
}

#[test]
fn an_interface_endpoint_has_interfaces() {
    let mut s = scene();
    let more = json!({"SubnetIds": [s.subnets[0], s.subnets[1]], "PrivateDnsEnabled": true});
    let request = s.endpoint("com.amazonaws.us-east-1.sqs", "Interface", &more);
    // Private names need names in the VPC.
    assert_eq!(
        s.world.err("CreateVpcEndpoint", request.clone()),
        "InvalidParameter"
    );
    s.world.ok(
        "ModifyVpcAttribute",
        json!({"VpcId": s.vpc, "EnableDnsHostnames": {"Value": true}}),
    );
    let made = s.world.ok("CreateVpcEndpoint", request.clone());
    let id = text(&made, "VpcEndpoint.VpcEndpointId");
    assert_eq!(count(&made, "VpcEndpoint.NetworkInterfaceIds"), 2);
    assert_eq!(text(&made, "VpcEndpoint.Groups.0.GroupName"), "default");
    assert_eq!(count(&made, "VpcEndpoint.DnsEntries"), 4);
    assert_eq!(
        text(&made, "VpcEndpoint.DnsEntries.3.DnsName"),
        "sqs.us-east-1.amazonaws.com"
    );
    assert_eq!(
        s.world.err("CreateVpcEndpoint", request),
        "InvalidParameter"
    );
    let interface = text(&made, "VpcEndpoint.NetworkInterfaceIds.0");
    let shown = s.world.ok(
        "DescribeNetworkInterfaces",
        json!({"NetworkInterfaceIds": [interface]}),
    );
    assert_eq!(
        text(&shown, "NetworkInterfaces.0.InterfaceType"),
        "vpc_endpoint"
    );
    assert_eq!(text(&shown, "NetworkInterfaces.0.RequesterManaged"), "true");
    assert_eq!(text(&shown, "NetworkInterfaces.0.Status"), "in-use");
    assert_eq!(
        text(&shown, "NetworkInterfaces.0.Description"),
        format!("VPC Endpoint Interface {id}")
    );
    let one = json!({"NetworkInterfaceId": interface});
    assert_eq!(
        s.world.err("DeleteNetworkInterface", one),
        "InvalidParameterValue"
    );
    let both = json!({"VpcEndpointId": id, "AddSubnetIds": [s.subnets[2]]});
    assert_eq!(
        s.world.err("ModifyVpcEndpoint", both),
        "DuplicateSubnetsInSameZone"
    );
    let made = s.world.ok(
        "CreateSecurityGroup",
        json!({"VpcId": s.vpc, "GroupName": "g", "Description": "d"}),
    );
    let group = text(&made, "GroupId");
    let change = json!({
        "VpcEndpointId": id, "RemoveSubnetIds": [s.subnets[1]], "AddSubnetIds": [s.subnets[2]],
        "AddSecurityGroupIds": [group], "PrivateDnsEnabled": false,
    });
    s.world.ok("ModifyVpcEndpoint", change);
    assert_eq!(
        s.world
            .err("DeleteSecurityGroup", json!({"GroupId": group})),
        "DependencyViolation"
    );
    assert_eq!(
        s.world
            .err("DeleteSubnet", json!({"SubnetId": s.subnets[2]})),
        "DependencyViolation"
    );
    s.world
        .ok("DeleteSubnet", json!({"SubnetId": s.subnets[1]}));
    let shown = s.world.ok("DescribeVpcEndpoints", json!({}));
    assert_eq!(count(&shown, "VpcEndpoints.0.Groups"), 2);
    assert_eq!(count(&shown, "VpcEndpoints.0.DnsEntries"), 3);
    s.world
        .ok("DeleteVpcEndpoints", json!({"VpcEndpointIds": [id]}));
    s.world
        .ok("DeleteSubnet", json!({"SubnetId": s.subnets[2]}));
    s.world.ok("DeleteSecurityGroup", json!({"GroupId": group}));
}

#[test]
fn what_endpoints_may_not_be() {
    let mut s = scene();
    for (service, kind, more, code) in [
        (
            "com.amazonaws.us-east-1.nothing",
            "Interface",
            json!({}),
            "InvalidServiceName",
        ),
        (
            "com.amazonaws.eu-west-1.s3",
            "Gateway",
            json!({}),
            "InvalidServiceName",
        ),
        (
            "com.amazonaws.us-east-1.sqs",
            "Gateway",
            json!({}),
            "InvalidParameter",
        ),
        (
            "com.amazonaws.us-east-1.s3",
            "Gateway",
            json!({"SubnetIds": [s.subnets[0]]}),
            "InvalidParameter",
        ),
        (
            "com.amazonaws.us-east-1.sqs",
            "Interface",
            json!({"RouteTableIds": [s.table]}),
            "InvalidParameter",
        ),
        (
            "com.amazonaws.us-east-1.sqs",
            "Interface",
            json!({"IpAddressType": "ipv6"}),
            "UnsupportedOperation",
        ),
        (
            "com.amazonaws.us-east-1.sqs",
            "Resource",
            json!({}),
            "UnsupportedOperation",
        ),
        (
            "com.amazonaws.us-east-1.sqs",
            "Interface",
            json!({"SubnetIds": [s.subnets[1], s.subnets[2]]}),
            "DuplicateSubnetsInSameZone",
        ),
        (
            "com.amazonaws.us-east-1.s3",
            "Gateway",
            json!({"PolicyDocument": "x"}),
            "InvalidPolicyDocument",
        ),
        (
            "com.amazonaws.us-east-1.s3",
            "Gateway",
            json!({"PolicyDocument": "{}"}),
            "InvalidPolicyDocument",
        ),
        (
            "com.amazonaws.us-east-1.s3",
            "Gateway",
            json!({"PolicyDocument": r#"{"Statement": [{"Effect": "Maybe", "Principal": "*", "Action": "*", "Resource": "*"}]}"#}),
            "InvalidPolicyDocument",
        ),
    ] {
        let request = s.endpoint(service, kind, &more);
        let found = s.world.err("CreateVpcEndpoint", request);
        assert_eq!(found, code, "{service} {kind} {more}");
    }
    let all = s.world.ok(
        "DescribeVpcEndpointServices",
        json!({"Filters": [{"Name": "service-type", "Values": ["Gateway"]}]}),
    );
    assert_eq!(count(&all, "ServiceNames"), 2);
    let page = s
        .world
        .ok("DescribeVpcEndpointServices", json!({"MaxResults": 3}));
    assert_eq!(count(&page, "ServiceDetails"), 3);
    let token = text(&page, "NextToken");
    let next = s.world.ok(
        "DescribeVpcEndpointServices",
        json!({"MaxResults": 3, "NextToken": token}),
    );
    assert_ne!(text(&page, "ServiceNames.0"), text(&next, "ServiceNames.0"));
}

#[test]
fn a_service_for_another_account() {
    let mut s = scene();
    for (request, code) in [
        (json!({}), "MissingParameter"),
        (
            json!({"NetworkLoadBalancerArns": ["x"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"GatewayLoadBalancerArns": [BALANCER]}),
            "InvalidParameterValue",
        ),
        (
            json!({"NetworkLoadBalancerArns": [BALANCER], "PrivateDnsName": "x"}),
            "InvalidParameterValue",
        ),
    ] {
        let found = s
            .world
            .err("CreateVpcEndpointServiceConfiguration", request.clone());
        assert_eq!(found, code, "{request}");
    }
    let request =
        json!({"NetworkLoadBalancerArns": [BALANCER], "PrivateDnsName": "api.example.com"});
    let made = s.world.ok("CreateVpcEndpointServiceConfiguration", request);
    let service = text(&made, "ServiceConfiguration.ServiceId");
    let name = text(&made, "ServiceConfiguration.ServiceName");
    assert_eq!(name, format!("com.amazonaws.vpce.us-east-1.{service}"));
    let state = "ServiceConfiguration.PrivateDnsNameConfiguration.State";
    assert_eq!(text(&made, state), "pendingVerification");
    s.world.ok(
        "StartVpcEndpointServicePrivateDnsVerification",
        json!({"ServiceId": service}),
    );

    // Another account, before and after it is permitted.
    s.world.account = account(OTHER);
    let made = s.world.ok("CreateVpc", json!({"CidrBlock": "10.9.0.0/16"}));
    let vpc = text(&made, "Vpc.VpcId");
    let made = s.world.ok(
        "CreateSubnet",
        json!({"VpcId": vpc, "CidrBlock": "10.9.0.0/24"}),
    );
    let subnet = text(&made, "Subnet.SubnetId");
    let request = json!({
        "VpcId": vpc, "ServiceName": name, "VpcEndpointType": "Interface", "SubnetIds": [subnet],
    });
    assert_eq!(
        s.world.err("CreateVpcEndpoint", request.clone()),
        "InvalidServiceName"
    );
    let names = json!({"ServiceNames": [name]});
    assert_eq!(
        s.world.err("DescribeVpcEndpointServices", names.clone()),
        "InvalidServiceName"
    );
    s.world.account = account("111122223333");
    let permit =
        |principal: &str| json!({"ServiceId": service, "AddAllowedPrincipals": [principal]});
    let code = s
        .world
        .err("ModifyVpcEndpointServicePermissions", permit("nobody"));
    assert_eq!(code, "InvalidPrincipal");
    s.world.ok(
        "ModifyVpcEndpointServicePermissions",
        permit(&format!("arn:aws:iam::{OTHER}:user/u")),
    );
    s.world.account = account(OTHER);
    assert_eq!(
        s.world.err("CreateVpcEndpoint", request.clone()),
        "InvalidServiceName"
    );
    s.world.account = account("111122223333");
    let reply = s.world.ok(
        "ModifyVpcEndpointServicePermissions",
        permit(&format!("arn:aws:iam::{OTHER}:root")),
    );
    assert_eq!(text(&reply, "AddedPrincipals.0.PrincipalType"), "Account");
    let filters =
        json!({"ServiceId": service, "Filters": [{"Name": "principal-type", "Values": ["User"]}]});
    let users = s.world.ok("DescribeVpcEndpointServicePermissions", filters);
    assert_eq!(count(&users, "AllowedPrincipals"), 1);
    s.world.account = account(OTHER);
    assert_eq!(
        count(
            &s.world.ok("DescribeVpcEndpointServices", names),
            "ServiceDetails"
        ),
        1
    );
    let made = s.world.ok("CreateVpcEndpoint", request);
    let id = text(&made, "VpcEndpoint.VpcEndpointId");
    assert_eq!(text(&made, "VpcEndpoint.State"), "pendingAcceptance");
    let code = s.world.err(
        "AcceptVpcEndpointConnections",
        json!({"ServiceId": service, "VpcEndpointIds": [id]}),
    );
    assert_eq!(code, "InvalidVpcEndpointServiceId.NotFound");

    s.world.account = account("111122223333");
    let connections = s.world.ok("DescribeVpcEndpointConnections", json!({}));
    assert_eq!(
        text(&connections, "VpcEndpointConnections.0.VpcEndpointOwner"),
        OTHER
    );
    // Its owner sees no more of the endpoint than the connection.
    assert_eq!(
        count(
            &s.world.ok("DescribeVpcEndpoints", json!({})),
            "VpcEndpoints"
        ),
        0
    );
    s.world.settle = 1000;
    let one = json!({"ServiceId": service, "VpcEndpointIds": [id]});
    let reply = s.world.ok("AcceptVpcEndpointConnections", one.clone());
    assert_eq!(count(&reply, "Unsuccessful"), 0);
    let state = |world: &mut World| {
        let shown = world.ok("DescribeVpcEndpointConnections", json!({}));
        text(&shown, "VpcEndpointConnections.0.VpcEndpointState")
    };
    assert_eq!(state(&mut s.world), "pending");
    s.world.now.0 += 1000;
    assert_eq!(state(&mut s.world), "available");
    let reply = s.world.ok("AcceptVpcEndpointConnections", one.clone());
    assert_eq!(text(&reply, "Unsuccessful.0.Error.Code"), "InvalidState");
    let services = json!({"ServiceIds": [service]});
    let reply = s
        .world
        .ok("DeleteVpcEndpointServiceConfigurations", services.clone());
    assert_eq!(
        text(&reply, "Unsuccessful.0.Error.Code"),
        "ExistingVpcEndpointConnections"
    );
    s.world.ok("RejectVpcEndpointConnections", one);
    assert_eq!(state(&mut s.world), "rejected");
    let reply = s
        .world
        .ok("DeleteVpcEndpointServiceConfigurations", services);
    assert_eq!(count(&reply, "Unsuccessful"), 0);
    let deleting = s
        .world
        .ok("DescribeVpcEndpointServiceConfigurations", json!({}));
    assert_eq!(
        text(&deleting, "ServiceConfigurations.0.ServiceState"),
        "Deleting"
    );
}

#[test]
fn hosts_know_an_endpoint_once_something_serves_and_it_is_accepted() {
    let mut s = scene();
    let request = json!({"NetworkLoadBalancerArns": [BALANCER], "AcceptanceRequired": true});
    let made = s.world.ok("CreateVpcEndpointServiceConfiguration", request);
    let service = text(&made, "ServiceConfiguration.ServiceId");
    let name = text(&made, "ServiceConfiguration.ServiceName");
    let request = s.endpoint(&name, "Interface", &json!({"SubnetIds": [s.subnets[0]]}));
    let made = s.world.ok("CreateVpcEndpoint", request);
    let id = text(&made, "VpcEndpoint.VpcEndpointId");
    let known = |world: &crate::testing::World| {
        let full = crate::project::full(&world.state, 1);
        let mut found = full.objects.into_iter().filter_map(|object| {
            let topology::Object::Endpoint(endpoint) = object else {
                return None;
            };
            Some(endpoint)
        });
        found.next()
    };
    let interface = |s: &mut Scene, subnet: usize| {
        let request = json!({"SubnetId": s.subnets[subnet]});
        let made = s.world.ok("CreateNetworkInterface", request);
        text(&made, "NetworkInterface.NetworkInterfaceId")
    };
    let (front, backend) = (interface(&mut s, 1), interface(&mut s, 2));
    let accept = json!({"ServiceId": service, "VpcEndpointIds": [id]});
    s.world.ok("AcceptVpcEndpointConnections", accept.clone());
    assert_eq!(known(&s.world), None);
    let tags = json!([
        {"Key": "polder:front", "Value": front}, {"Key": "polder:backend", "Value": backend},
    ]);
    let request = json!({"Resources": [service], "Tags": tags});
    s.world.ok("CreateTags", request);
    let endpoint = known(&s.world).unwrap();
    assert_eq!(endpoint.id.to_string(), id);
    assert_eq!(endpoint.provider, s.world.account);
    assert_eq!(
        (endpoint.front.to_string(), endpoint.backend.to_string()),
        (front, backend)
    );
    assert_eq!(endpoint.interfaces.len(), 1);
    s.world.ok("RejectVpcEndpointConnections", accept);
    assert_eq!(known(&s.world), None);
}

#[test]
fn a_gateway_load_balancer_and_notifications() {
    let mut s = scene();
    let gateway = BALANCER.replace("/net/", "/gwy/");
    let request = json!({"GatewayLoadBalancerArns": [gateway], "AcceptanceRequired": false, "ClientToken": "t"});
    let made = s.world.ok("CreateVpcEndpointServiceConfiguration", request);
    let service = text(&made, "ServiceConfiguration.ServiceId");
    let name = text(&made, "ServiceConfiguration.ServiceName");
    let none = s.endpoint(&name, "GatewayLoadBalancer", &json!({}));
    assert_eq!(
        s.world.err("CreateVpcEndpoint", none),
        "InvalidParameterCombination"
    );
    let request = s.endpoint(
        &name,
        "GatewayLoadBalancer",
        &json!({"SubnetIds": [s.subnets[0]]}),
    );
    let made = s.world.ok("CreateVpcEndpoint", request);
    let endpoint = text(&made, "VpcEndpoint.VpcEndpointId");
    assert_eq!(text(&made, "VpcEndpoint.State"), "available");
    assert_eq!(count(&made, "VpcEndpoint.DnsEntries"), 0);
    // It can be the target of mirrored packets, which holds it, and of routes.
    let request = json!({"GatewayLoadBalancerEndpointId": endpoint});
    let made = s.world.ok("CreateTrafficMirrorTarget", request);
    let target = text(&made, "TrafficMirrorTarget.TrafficMirrorTargetId");
    let one = json!({"VpcEndpointIds": [endpoint]});
    let reply = s.world.ok("DeleteVpcEndpoints", one.clone());
    assert_eq!(count(&reply, "Unsuccessful"), 1);
    s.world.ok(
        "DeleteTrafficMirrorTarget",
        json!({"TrafficMirrorTargetId": target}),
    );
    let route = json!({"RouteTableId": s.table, "DestinationCidrBlock": "192.0.2.0/24", "VpcEndpointId": endpoint});
    s.world.ok("CreateRoute", route);
    let tables = s
        .world
        .ok("DescribeRouteTables", json!({"RouteTableIds": [s.table]}));
    assert_eq!(text(&tables, "RouteTables.0.Routes.1.State"), "active");
    let topic = "arn:aws:sns:us-east-1:111122223333:topic";
    let request = json!({
        "ServiceId": service, "ConnectionNotificationArn": topic, "ConnectionEvents": ["Accept", "Reject"],
    });
    let made = s
        .world
        .ok("CreateVpcEndpointConnectionNotification", request);
    let id = text(&made, "ConnectionNotification.ConnectionNotificationId");
    let wrong = json!({"ConnectionNotificationId": id, "ConnectionEvents": ["Sleep"]});
    assert_eq!(
        s.world
            .err("ModifyVpcEndpointConnectionNotification", wrong),
        "InvalidParameterValue"
    );
    let change = json!({"ConnectionNotificationId": id, "ConnectionEvents": ["Delete"]});
    s.world
        .ok("ModifyVpcEndpointConnectionNotification", change);
    let shown = s.world.ok(
        "DescribeVpcEndpointConnectionNotifications",
        json!({"ConnectionNotificationId": id}),
    );
    assert_eq!(
        text(&shown, "ConnectionNotificationSet.0.ConnectionEvents.0"),
        "Delete"
    );
    let gone = json!({"ConnectionNotificationIds": [id]});
    s.world
        .ok("DeleteVpcEndpointConnectionNotifications", gone.clone());
    let reply = s.world.ok("DeleteVpcEndpointConnectionNotifications", gone);
    assert_eq!(
        text(&reply, "Unsuccessful.0.Error.Code"),
        "InvalidConnectionNotification"
    );
    s.world.ok("DeleteVpcEndpoints", one);
    let tables = s
        .world
        .ok("DescribeRouteTables", json!({"RouteTableIds": [s.table]}));
    assert_eq!(text(&tables, "RouteTables.0.Routes.1.State"), "blackhole");
    assert!(matches!(
        at(&tables, "RouteTables.0"),
        api::Value::Structure(_)
    ));
}

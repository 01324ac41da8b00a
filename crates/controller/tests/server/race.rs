//! Clients that race for one thing: exactly one gets it, and the others hear why not.

use std::sync::Barrier;

use crate::server::{Reply, Server, text};

/// How many race.
const RACERS: usize = 12;
/// How often what can come out in two ways is tried.
const ROUNDS: usize = 20;

fn ask(server: &Server, form: &str) -> Reply {
    server.post(&format!("Version=2016-11-15&{form}"))
}

/// The text of an element of a reply that must be a success.
fn made(server: &Server, form: &str, element: &str) -> String {
    let reply = ask(server, form);
    assert_eq!(reply.status, 200, "{form}: {}", reply.body);
    text(&reply.body, element)
}

/// Sends all of them at once. What each is told: `None` for a success, else the code.
fn race(server: &Server, forms: &[String]) -> Vec<Option<String>> {
    let start = Barrier::new(forms.len());
    std::thread::scope(|scope| {
        let start = &start;
        let racers: Vec<_> = forms
            .iter()
            .map(|form| {
                scope.spawn(move || {
                    start.wait();
                    let reply = ask(server, form);
                    (reply.status != 200).then(|| text(&reply.body, "Code"))
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    })
}

/// Races so many; one wins, and the others get this code.
fn one_wins(server: &Server, form: impl Fn(usize) -> String, code: &str) {
    let forms: Vec<String> = (0..RACERS).map(form).collect();
    let told = race(server, &forms);
    let winners = told.iter().filter(|told| told.is_none()).count();
    assert_eq!(winners, 1, "{}: {told:?}", forms[0]);
    let losers = told.iter().flatten();
    assert!(
        losers.clone().all(|told| told == code),
        "{}: {told:?}",
        forms[0]
    );
}

#[test]
fn one_of_many_gets_it() {
    let server = Server::start();
    let vpc = made(&server, "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let subnet = |cidr: &str| {
        let form = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock={cidr}");
        made(&server, &form, "subnetId")
    };

    // The last address: a /28 has eleven.
    let full = subnet("10.0.1.0/28");
    let interface = |_| format!("Action=CreateNetworkInterface&SubnetId={full}");
    for _ in 0..10 {
        made(&server, &interface(0), "networkInterfaceId");
    }
    one_wins(&server, interface, "InsufficientFreeAddressesInSubnet");

    let roomy = subnet("10.0.2.0/24");
    let same_address =
        |_| format!("Action=CreateNetworkInterface&SubnetId={roomy}&PrivateIpAddress=10.0.2.77");
    one_wins(&server, same_address, "InvalidIPAddress.InUse");

    // Blocks that overlap, none of them the same.
    let overlapping = |n: usize| {
        let length = 17 + n % 8;
        format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.128.0/{length}")
    };
    one_wins(&server, overlapping, "InvalidSubnet.Conflict");

    let same_name =
        |_| format!("Action=CreateSecurityGroup&VpcId={vpc}&GroupName=one&GroupDescription=x");
    one_wins(&server, same_name, "InvalidGroup.Duplicate");

    let tables: Vec<String> = (0..RACERS)
        .map(|_| {
            let form = format!("Action=CreateRouteTable&VpcId={vpc}");
            made(&server, &form, "routeTableId")
        })
        .collect();
    let associate = |n: usize| {
        let table = &tables[n];
        format!("Action=AssociateRouteTable&SubnetId={roomy}&RouteTableId={table}")
    };
    one_wins(&server, associate, "Resource.AlreadyAssociated");

    let gateways: Vec<String> = (0..RACERS)
        .map(|_| made(&server, "Action=CreateInternetGateway", "internetGatewayId"))
        .collect();
    let attach = |n: usize| {
        let gateway = &gateways[n];
        format!("Action=AttachInternetGateway&VpcId={vpc}&InternetGatewayId={gateway}")
    };
    one_wins(&server, attach, "InvalidParameterValue");

    let delete = |_| {
        format!(
            "Action=DeleteInternetGateway&InternetGatewayId={}",
            gateways[0]
        )
    };
    let detach = format!("Action=DetachInternetGateway&VpcId={vpc}&InternetGatewayId=");
    for gateway in &gateways {
        // Whichever won.
        ask(&server, &format!("{detach}{gateway}"));
    }
    one_wins(&server, delete, "InvalidInternetGatewayID.NotFound");
}

/// A delete against a create that needs what is deleted: one of the two happens, never both.
#[test]
fn a_delete_against_a_create() {
    let server = Server::start();
    let vpc = made(&server, "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    for _ in 0..ROUNDS {
        let form = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/24");
        let subnet = made(&server, &form, "subnetId");
        let told = race(
            &server,
            &[
                format!("Action=DeleteSubnet&SubnetId={subnet}"),
                format!("Action=CreateNetworkInterface&SubnetId={subnet}"),
            ],
        );
        let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
        match *told {
            [None, Some("InvalidSubnetID.NotFound")] => {}
            [Some("DependencyViolation"), None] => {
                let all = ask(&server, "Action=DescribeNetworkInterfaces");
                let interface = text(&all.body, "networkInterfaceId");
                let form = format!("Action=DeleteNetworkInterface&NetworkInterfaceId={interface}");
                assert_eq!(ask(&server, &form).status, 200);
                let form = format!("Action=DeleteSubnet&SubnetId={subnet}");
                assert_eq!(ask(&server, &form).status, 200);
            }
            _ => panic!("{told:?}"),
        }
    }
}

/// A request that fails or whose client leaves does nothing to those that are written with it.
#[test]
fn failures_among_changes() {
    let server = Server::start();
    let vpc = made(&server, "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    let forms: Vec<String> = (0..24)
        .map(|n| match n % 3 {
            0 => format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.{n}.0/24"),
            1 => format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.9.{n}.0/24"),
            _ => format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.{n}.0/24&DryRun=true"),
        })
        .collect();
    let told = race(&server, &forms);
    for (n, told) in told.iter().enumerate() {
        let expected = [None, Some("InvalidSubnet.Range"), Some("DryRunOperation")][n % 3];
        assert_eq!(told.as_deref(), expected, "{}", forms[n]);
    }
    let form = format!("Action=DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}");
    let all = ask(&server, &form);
    assert_eq!(all.body.matches("<subnetId>").count(), 8, "{}", all.body);
}

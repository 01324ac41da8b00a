// A network with Amazon's SDK for JavaScript, as its users write it; `test_javascript.py` runs it.
//
// Usage: node story.mjs ENDPOINT. Ends with 0 when everything was as the SDK promises.

import assert from "node:assert/strict";
import * as sdk from "@aws-sdk/client-ec2";

const ec2 = new sdk.EC2Client({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "111122223333", secretAccessKey: "x" },
  maxAttempts: 1,
});
const send = (action, parameters = {}) => ec2.send(new sdk[`${action}Command`](parameters));
const quick = (more) => ({ client: ec2, maxWaitTime: 30, minDelay: 1, maxDelay: 1, ...more });

/** What an action that must fail fails with. */
async function fails(action, parameters, name, status = 400) {
  await assert.rejects(send(action, parameters), (error) => {
    assert.ok(error instanceof sdk.EC2ServiceException, `${action}: ${error}`);
    assert.equal(error.name, name, error.message);
    assert.equal(error.Code, name);
    assert.equal(error.$fault, "client");
    assert.equal(error.$metadata.httpStatusCode, status);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
}

// A VPC with tags, an internet gateway and seven subnets.
const { Vpc: vpc, $metadata } = await send("CreateVpc", {
  CidrBlock: "10.0.0.0/16",
  TagSpecifications: [{ ResourceType: "vpc", Tags: [{ Key: "Name", Value: "<js> & ü" }] }],
});
assert.match($metadata.requestId, /^[0-9a-f-]{36}$/);
assert.deepEqual(vpc.Tags, [{ Key: "Name", Value: "<js> & ü" }]);
await sdk.waitUntilVpcAvailable(quick(), { VpcIds: [vpc.VpcId] });
const { InternetGateway: gateway } = await send("CreateInternetGateway");
await send("AttachInternetGateway", { VpcId: vpc.VpcId, InternetGatewayId: gateway.InternetGatewayId });
const subnets = [];
for (let n = 0; n < 7; n++) {
  const { Subnet } = await send("CreateSubnet", { VpcId: vpc.VpcId, CidrBlock: `10.0.${n}.0/24` });
  subnets.push(Subnet.SubnetId);
}
await sdk.waitUntilSubnetAvailable(quick(), { SubnetIds: subnets });
const ofVpc = [{ Name: "vpc-id", Values: [vpc.VpcId] }];

// Pages.
const pages = [];
for await (const page of sdk.paginateDescribeSubnets({ client: ec2, pageSize: 5 }, { Filters: ofVpc }))
  pages.push(page.Subnets.map((subnet) => subnet.SubnetId));
assert.deepEqual(pages.map((page) => page.length), [5, 2]);
assert.deepEqual(new Set(pages.flat()), new Set(subnets));

// A group whose rules come, are told of, and go.
const { GroupId } = await send("CreateSecurityGroup", { GroupName: "web", Description: "web", VpcId: vpc.VpcId });
await sdk.waitUntilSecurityGroupExists(quick(), { GroupIds: [GroupId] });
const web = { IpProtocol: "tcp", FromPort: 80, ToPort: 80, IpRanges: [{ CidrIp: "0.0.0.0/0", Description: "all" }] };
const { Return, SecurityGroupRules: made } = await send("AuthorizeSecurityGroupIngress", {
  GroupId,
  IpPermissions: [web],
});
assert.equal(Return, true);
assert.equal(made[0].FromPort, 80);
assert.equal(made[0].IsEgress, false);
await fails("AuthorizeSecurityGroupIngress", { GroupId, IpPermissions: [web] }, "InvalidPermission.Duplicate");
const { SecurityGroups: [group] } = await send("DescribeSecurityGroups", { GroupIds: [GroupId] });
assert.deepEqual(group.IpPermissions[0].IpRanges, web.IpRanges);
await send("RevokeSecurityGroupIngress", { GroupId, SecurityGroupRuleIds: [made[0].SecurityGroupRuleId] });

// A NAT gateway, a list of prefixes, an endpoint: what is a number, a date or a list arrives as one.
const { AllocationId, PublicIp } = await send("AllocateAddress", { Domain: "vpc" });
const { NatGateway: { NatGatewayId } } = await send("CreateNatGateway", { SubnetId: subnets[0], AllocationId });
await sdk.waitUntilNatGatewayAvailable(quick(), { NatGatewayIds: [NatGatewayId] });
const { NatGateways: [nat] } = await send("DescribeNatGateways", { NatGatewayIds: [NatGatewayId] });
assert.equal(nat.NatGatewayAddresses[0].PublicIp, PublicIp);
assert.ok(nat.CreateTime instanceof Date && Math.abs(Date.now() - nat.CreateTime) < 600_000);
const { PrefixList: list } = await send("CreateManagedPrefixList", {
  PrefixListName: "offices",
  AddressFamily: "IPv4",
  MaxEntries: 5,
  Entries: [{ Cidr: "192.0.2.0/24", Description: "one" }],
});
assert.equal(list.Version, 1);
assert.equal(list.MaxEntries, 5);
const { Entries } = await send("GetManagedPrefixListEntries", { PrefixListId: list.PrefixListId });
assert.deepEqual(Entries, [{ Cidr: "192.0.2.0/24", Description: "one" }]);
const { RouteTables: [table] } = await send("DescribeRouteTables", { Filters: ofVpc });
const { VpcEndpoint: endpoint } = await send("CreateVpcEndpoint", {
  VpcId: vpc.VpcId,
  ServiceName: "com.amazonaws.us-east-1.s3",
  RouteTableIds: [table.RouteTableId],
});
assert.equal(endpoint.VpcEndpointType, "Gateway");
assert.deepEqual(endpoint.RouteTableIds, [table.RouteTableId]);

// An instance runs, and ends.
const { Instances: [instance] } = await send("RunInstances", {
  ImageId: "ami-0123456789abcdef0",
  InstanceType: "t3.micro",
  MinCount: 1,
  MaxCount: 1,
  SubnetId: subnets[0],
  SecurityGroupIds: [GroupId],
  UserData: Buffer.from("#!/bin/sh\nsleep 1000\n").toString("base64"),
});
const one = { InstanceIds: [instance.InstanceId] };
await sdk.waitUntilInstanceRunning(quick(), one);
assert.ok(instance.LaunchTime instanceof Date);
await send("TerminateInstances", one);
await sdk.waitUntilInstanceTerminated(quick(), one);

// Errors are named as Amazon names them.
await fails("DescribeVpcs", { VpcIds: ["vpc-0123456789abcdef0"] }, "InvalidVpcID.NotFound");
await fails("DescribeVpcs", { VpcIds: ["vpc-xyz"] }, "InvalidVpcID.Malformed");
await fails("DeleteVpc", { VpcId: vpc.VpcId }, "DependencyViolation");
await fails("CreateSubnet", { VpcId: vpc.VpcId, CidrBlock: "10.0.0.0/25" }, "InvalidSubnet.Conflict");
await fails("CreateVpc", { CidrBlock: "10.0.0.0/16", DryRun: true }, "DryRunOperation", 412);
await fails("DeleteSubnet", { SubnetId: subnets[6], DryRun: true }, "DryRunOperation", 412);

// Everything goes.
await send("DeleteVpcEndpoints", { VpcEndpointIds: [endpoint.VpcEndpointId] });
await send("DeleteManagedPrefixList", { PrefixListId: list.PrefixListId });
await send("DeleteNatGateway", { NatGatewayId });
await sdk.waitUntilNatGatewayDeleted(quick(), { NatGatewayIds: [NatGatewayId] });
await send("ReleaseAddress", { AllocationId });
await send("DeleteSecurityGroup", { GroupId });
for (const SubnetId of subnets) await send("DeleteSubnet", { SubnetId });
await send("DetachInternetGateway", { VpcId: vpc.VpcId, InternetGatewayId: gateway.InternetGatewayId });
await send("DeleteInternetGateway", { InternetGatewayId: gateway.InternetGatewayId });
await send("DeleteVpc", { VpcId: vpc.VpcId });
await fails("DescribeVpcs", { VpcIds: [vpc.VpcId] }, "InvalidVpcID.NotFound");
console.log("everything as promised");

# What `test_terraform_connections.py` applies: networks that are joined to others, and what names and watches them.

terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}

provider "aws" {
  region     = "us-east-1"
  access_key = "111122223333"
  secret_key = "x"
  endpoints {
    ec2 = "http://127.0.0.1:4566"
    sts = "http://127.0.0.1:4566"
  }
  default_tags { tags = { made_by = "terraform" } }
}

# What the test changes after the first apply.
variable "changed" { default = false }

data "aws_availability_zones" "all" { state = "available" }
data "aws_ec2_managed_prefix_list" "s3" { name = "com.amazonaws.us-east-1.s3" }

resource "aws_vpc" "one" {
  cidr_block           = "10.30.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "one" }
}

resource "aws_vpc" "two" {
  cidr_block = "10.31.0.0/16"
  tags       = { Name = "two" }
}

resource "aws_vpc_ipv4_cidr_block_association" "more" {
  vpc_id     = aws_vpc.two.id
  cidr_block = "10.32.0.0/16"
}

resource "aws_subnet" "one" {
  count             = 2
  vpc_id            = aws_vpc.one.id
  cidr_block        = cidrsubnet(aws_vpc.one.cidr_block, 8, count.index)
  availability_zone = data.aws_availability_zones.all.names[count.index]
}

resource "aws_subnet" "two" {
  vpc_id     = aws_vpc.two.id
  cidr_block = "10.31.0.0/24"
}

resource "aws_internet_gateway" "one" {
  vpc_id = aws_vpc.one.id
}

# NAT gateways, public and private.
resource "aws_eip" "nat" {
  domain     = "vpc"
  tags       = { Name = var.changed ? "nat-changed" : "nat" }
  depends_on = [aws_internet_gateway.one]
}

resource "aws_nat_gateway" "public" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.one[0].id
  tags          = { Name = var.changed ? "public-changed" : "public" }
}

resource "aws_nat_gateway" "private" {
  connectivity_type = "private"
  subnet_id         = aws_subnet.one[1].id
  private_ip        = "10.30.1.200"
}

# A prefix list with entries inside, and one with an entry outside.
resource "aws_ec2_managed_prefix_list" "offices" {
  name           = "offices"
  address_family = "IPv4"
  max_entries    = var.changed ? 6 : 5
  entry {
    cidr        = "192.0.2.0/24"
    description = "one"
  }
  dynamic "entry" {
    for_each = var.changed ? ["198.51.100.0/24", "203.0.113.0/24"] : ["198.51.100.0/24"]
    content {
      cidr = entry.value
    }
  }
}

resource "aws_ec2_managed_prefix_list" "outside" {
  name           = "outside"
  address_family = "IPv4"
  max_entries    = 3
}

resource "aws_ec2_managed_prefix_list_entry" "outside" {
  prefix_list_id = aws_ec2_managed_prefix_list.outside.id
  cidr           = "100.64.0.0/16"
  description    = "outside"
}

# Groups whose rules name lists.
resource "aws_security_group" "lists" {
  name   = "lists"
  vpc_id = aws_vpc.one.id
}

resource "aws_vpc_security_group_ingress_rule" "lists" {
  security_group_id = aws_security_group.lists.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = aws_ec2_managed_prefix_list.offices.id
}

resource "aws_vpc_security_group_egress_rule" "lists" {
  security_group_id = aws_security_group.lists.id
  ip_protocol       = "-1"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.s3.id
}

# Two networks as peers, with options on both sides.
resource "aws_vpc_peering_connection" "one_two" {
  vpc_id      = aws_vpc.one.id
  peer_vpc_id = aws_vpc.two.id
  auto_accept = true
  accepter {
    allow_remote_vpc_dns_resolution = var.changed
  }
  requester {
    allow_remote_vpc_dns_resolution = true
  }
  tags = { Name = "one-two" }
}

# A transit gateway with both attached, and a table of its own.
resource "aws_ec2_transit_gateway" "hub" {
  description                     = var.changed ? "the hub" : "hub"
  default_route_table_association = "disable"
  default_route_table_propagation = "disable"
  transit_gateway_cidr_blocks     = ["10.99.0.0/24"]
  tags                            = { Name = "hub" }
}

resource "aws_ec2_transit_gateway_vpc_attachment" "one" {
  transit_gateway_id                              = aws_ec2_transit_gateway.hub.id
  vpc_id                                          = aws_vpc.one.id
  subnet_ids                                      = var.changed ? aws_subnet.one[*].id : [aws_subnet.one[0].id]
  transit_gateway_default_route_table_association = false
  transit_gateway_default_route_table_propagation = false
  tags                                            = { Name = "one" }
}

resource "aws_ec2_transit_gateway_vpc_attachment" "two" {
  transit_gateway_id                              = aws_ec2_transit_gateway.hub.id
  vpc_id                                          = aws_vpc.two.id
  subnet_ids                                      = [aws_subnet.two.id]
  appliance_mode_support                          = var.changed ? "enable" : "disable"
  transit_gateway_default_route_table_association = false
  transit_gateway_default_route_table_propagation = false
}

resource "aws_ec2_transit_gateway_route_table" "hub" {
  transit_gateway_id = aws_ec2_transit_gateway.hub.id
  tags               = { Name = "hub" }
}

resource "aws_ec2_transit_gateway_route_table_association" "one" {
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.one.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.hub.id
}

resource "aws_ec2_transit_gateway_route_table_propagation" "two" {
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.two.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.hub.id
}

resource "aws_ec2_transit_gateway_route" "two" {
  destination_cidr_block         = "10.32.0.0/16"
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.two.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.hub.id
}

resource "aws_ec2_transit_gateway_route" "nowhere" {
  destination_cidr_block         = "192.168.0.0/16"
  blackhole                      = true
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.hub.id
}

resource "aws_ec2_transit_gateway_prefix_list_reference" "offices" {
  prefix_list_id                 = aws_ec2_managed_prefix_list.offices.id
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.one.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.hub.id
}

# Routes to all of these.
resource "aws_route_table" "inside" {
  vpc_id = aws_vpc.one.id
  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = var.changed ? aws_nat_gateway.private.id : aws_nat_gateway.public.id
  }
  route {
    cidr_block                = "10.31.0.0/16"
    vpc_peering_connection_id = aws_vpc_peering_connection.one_two.id
  }
}

resource "aws_route_table" "outside" {
  vpc_id = aws_vpc.one.id
}

resource "aws_route" "transit" {
  route_table_id         = aws_route_table.outside.id
  destination_cidr_block = "10.32.0.0/16"
  transit_gateway_id     = aws_ec2_transit_gateway.hub.id
  depends_on             = [aws_ec2_transit_gateway_vpc_attachment.one]
}

resource "aws_route" "list" {
  route_table_id             = aws_route_table.outside.id
  destination_prefix_list_id = aws_ec2_managed_prefix_list.outside.id
  transit_gateway_id         = aws_ec2_transit_gateway.hub.id
  depends_on                 = [aws_ec2_transit_gateway_vpc_attachment.one]
}

resource "aws_route_table_association" "inside" {
  subnet_id      = aws_subnet.one[1].id
  route_table_id = aws_route_table.inside.id
}

# Endpoints: one in a route table, one with an interface.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.one.id
  service_name      = "com.amazonaws.us-east-1.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.changed ? [aws_route_table.inside.id, aws_route_table.outside.id] : [aws_route_table.inside.id]
}

resource "aws_vpc_endpoint" "ec2" {
  vpc_id              = aws_vpc.one.id
  service_name        = "com.amazonaws.us-east-1.ec2"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [aws_subnet.one[0].id]
  security_group_ids  = [aws_security_group.lists.id]
  private_dns_enabled = true
  tags                = { Name = "ec2" }
}

resource "aws_network_acl" "two" {
  vpc_id     = aws_vpc.two.id
  subnet_ids = [aws_subnet.two.id]
  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "udp"
    from_port  = 53
    to_port    = 53
    cidr_block = "10.30.0.0/16"
  }
}



resource "aws_flow_log" "one" {
  vpc_id                   = aws_vpc.one.id
  traffic_type             = "ALL"
  log_destination_type     = "s3"
  log_destination          = "arn:aws:s3:::flow-logs-of-one"
  max_aggregation_interval = 60
  tags                     = { Name = "one" }
}

# A way home.
resource "aws_customer_gateway" "home" {
  bgp_asn    = 65000
  ip_address = "203.0.113.9"
  type       = "ipsec.1"
  tags       = { Name = "home" }
}

resource "aws_vpn_gateway" "one" {
  vpc_id          = aws_vpc.one.id
  amazon_side_asn = 64620
}

resource "aws_vpn_gateway_route_propagation" "outside" {
  vpn_gateway_id = aws_vpn_gateway.one.id
  route_table_id = aws_route_table.outside.id
}

resource "aws_vpn_connection" "home" {
  customer_gateway_id = aws_customer_gateway.home.id
  vpn_gateway_id      = aws_vpn_gateway.one.id
  type                = "ipsec.1"
  static_routes_only  = true
}

resource "aws_vpn_connection_route" "home" {
  vpn_connection_id      = aws_vpn_connection.home.id
  destination_cidr_block = "192.168.7.0/24"
}

resource "aws_egress_only_internet_gateway" "one" {
  vpc_id = aws_vpc.one.id
  tags   = { Name = "one" }
}

resource "aws_key_pair" "me" {
  key_name   = "me"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKFRpK7Q6FCjI+qDZfeO1DPWtdJLPJfzfzKQcgOMTNxP me"
}

resource "aws_placement_group" "apart" {
  name     = "apart"
  strategy = "spread"
}

# An instance with options.
resource "aws_instance" "options" {
  ami                     = "ami-0123456789abcdef0"
  instance_type           = "t3.small"
  subnet_id               = aws_subnet.one[0].id
  vpc_security_group_ids  = [aws_security_group.lists.id]
  key_name                = aws_key_pair.me.key_name
  placement_group         = aws_placement_group.apart.name
  monitoring              = true
  disable_api_termination = !var.changed
  disable_api_stop        = !var.changed
  iam_instance_profile    = "lab"
  credit_specification { cpu_credits = var.changed ? "unlimited" : "standard" }
  metadata_options {
    http_tokens                 = var.changed ? "optional" : "required"
    http_put_response_hop_limit = 2
  }
}

data "aws_nat_gateways" "one" {
  vpc_id     = aws_vpc.one.id
  depends_on = [aws_nat_gateway.public, aws_nat_gateway.private]
}

data "aws_ec2_transit_gateway" "hub" {
  id = aws_ec2_transit_gateway.hub.id
}

output "nat_address" { value = aws_nat_gateway.public.public_ip }
output "nat" { value = aws_nat_gateway.public.id }
output "nats" { value = length(data.aws_nat_gateways.one.ids) }
output "eip" { value = aws_eip.nat.public_ip }
output "table" { value = aws_route_table.inside.id }
output "list" { value = aws_ec2_managed_prefix_list.offices.id }
output "hub_table" { value = aws_ec2_transit_gateway_route_table.hub.id }
output "asn" { value = data.aws_ec2_transit_gateway.hub.amazon_side_asn }
output "tunnel" { value = aws_vpn_connection.home.tunnel1_address }
output "vpc_two" { value = aws_vpc.two.id }

output "fingerprint" { value = aws_key_pair.me.fingerprint }

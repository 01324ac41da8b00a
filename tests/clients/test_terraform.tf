# What `test_terraform.py` applies: the provider block is the one that docs/clients.md gives.

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
}

# What the test changes after the first apply.
variable "changed" { default = false }

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_availability_zones" "all" { state = "available" }

resource "aws_vpc" "lab" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = !var.changed
  tags                 = { Name = "lab" }
}

resource "aws_subnet" "lab" {
  count             = 2
  vpc_id            = aws_vpc.lab.id
  cidr_block        = cidrsubnet(aws_vpc.lab.cidr_block, 8, count.index + 1)
  availability_zone = data.aws_availability_zones.all.names[count.index]
  tags              = { Name = "lab-${count.index}" }
}

resource "aws_internet_gateway" "lab" {
  vpc_id = aws_vpc.lab.id
  tags   = { Name = "lab" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.lab.id
  tags   = { Name = "public" }
}

resource "aws_route_table" "inline" {
  vpc_id = aws_vpc.lab.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.lab.id
  }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.lab.id
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.lab[0].id
  route_table_id = aws_route_table.public.id
}

# Rules as resources of their own.
resource "aws_security_group" "web" {
  name        = "web"
  description = "web"
  vpc_id      = aws_vpc.lab.id
  tags        = { tier = var.changed ? "back" : "front" }
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "tcp"
  from_port         = var.changed ? 81 : 80
  to_port           = var.changed ? 81 : 80
  cidr_ipv4         = "0.0.0.0/0"
  description       = "web"
  tags              = { Name = "web" }
}

resource "aws_vpc_security_group_egress_rule" "web" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Rules inside.
resource "aws_security_group" "db" {
  name_prefix = "db-"
  vpc_id      = aws_vpc.lab.id
  ingress {
    protocol        = "tcp"
    from_port       = var.changed ? 5431 : 5432
    to_port         = 5432
    security_groups = [aws_security_group.web.id]
  }
  ingress {
    protocol  = "icmp"
    from_port = -1
    to_port   = -1
    self      = true
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["10.20.0.0/16"]
  }
  tags = { Name = "db" }
}

# Rules of the older resource.
resource "aws_security_group" "ops" {
  name   = "ops"
  vpc_id = aws_vpc.lab.id
}

resource "aws_security_group_rule" "ops" {
  type              = "ingress"
  security_group_id = aws_security_group.ops.id
  protocol          = "tcp"
  from_port         = 8080
  to_port           = 8080
  cidr_blocks       = ["0.0.0.0/0"]
}

resource "aws_network_acl" "lab" {
  vpc_id     = aws_vpc.lab.id
  subnet_ids = [aws_subnet.lab[0].id]
  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }
  egress {
    rule_no    = var.changed ? 110 : 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }
  tags = { Name = "lab" }
}

resource "aws_network_acl" "second" {
  vpc_id = aws_vpc.lab.id
}

resource "aws_network_acl_rule" "second" {
  network_acl_id = aws_network_acl.second.id
  rule_number    = 90
  egress         = false
  protocol       = "tcp"
  rule_action    = "deny"
  cidr_block     = "10.20.2.0/24"
  from_port      = 22
  to_port        = 22
}

resource "aws_network_acl_association" "second" {
  network_acl_id = aws_network_acl.second.id
  subnet_id      = aws_subnet.lab[1].id
}

resource "aws_network_interface" "second" {
  subnet_id       = aws_subnet.lab[0].id
  private_ips     = concat(["10.20.1.50"], var.changed ? ["10.20.1.51"] : [])
  security_groups = [var.changed ? aws_security_group.web.id : aws_security_group.db.id]
  description     = "second"
  tags            = { Name = "second", tier = var.changed ? "back" : "front" }
}

resource "aws_instance" "web" {
  ami                    = "ami-0123456789abcdef0"
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.lab[0].id
  vpc_security_group_ids = concat([aws_security_group.web.id], var.changed ? [aws_security_group.ops.id] : [])
  user_data              = <<-END
    #!/bin/sh
    mkdir -p www && cd www && echo 'hello from terraform' > index.html
    python3 -m http.server 8080 &
    exec python3 -m http.server 80
  END
  tags                   = { Name = "web", tier = var.changed ? "back" : "front" }
}

resource "aws_eip" "web" {
  domain = "vpc"
  tags   = { Name = "web" }
}

resource "aws_eip_association" "web" {
  allocation_id = aws_eip.web.id
  instance_id   = aws_instance.web.id
}

data "aws_vpc" "lab" {
  id = aws_vpc.lab.id
}

data "aws_subnets" "lab" {
  filter {
    name   = "vpc-id"
    values = [aws_vpc.lab.id]
  }
  depends_on = [aws_subnet.lab]
}

output "address" { value = aws_eip.web.public_ip }
output "instance" { value = aws_instance.web.id }
output "account" { value = data.aws_caller_identity.me.account_id }
output "region" { value = data.aws_region.here.name }
output "cidr" { value = data.aws_vpc.lab.cidr_block }
output "zones" { value = data.aws_availability_zones.all.names }
output "subnets" { value = length(data.aws_subnets.lab.ids) }

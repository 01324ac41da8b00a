"""An instance with two interfaces, as one draws it: the public side, and the management side."""

from conftest import CONNECT, Network, connect, wait_for
from test_packets import Server


def test_an_instance_with_two_interfaces(region):
    """Each interface has its own subnet, address and groups; both belong to one machine."""
    net = Network(region, account="600000000001")
    management = net.add_subnet("10.0.100.0/24")
    web = net.group("web", ("tcp", 80, 80, "0.0.0.0/0"))
    admin = net.group("admin", ("tcp", 22, 22, "10.0.100.0/24"))
    machine = net.run(web, "10.0.1.10")
    public = net.elastic(machine)
    operator = net.run(net.group("operator"), "10.0.100.5", management)
    stranger = net.run(net.group("stranger"), "10.0.1.99")
    made = net.ec2.create_network_interface(
        SubnetId=management, PrivateIpAddress="10.0.100.10", Groups=[admin])["NetworkInterface"]
    interface = made["NetworkInterfaceId"]
    attached = net.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=machine, DeviceIndex=1)
    addresses = lambda: region.exec(machine, "ip", "-4", "-o", "addr", check=False).stdout
    wait_for("the second interface", lambda: "10.0.100.10" in addresses())
    with Server(machine, 80), Server(machine, 22):
        assert connect(public, 80) == "connected"
        assert connect(public, 22, 0.5) == "lost"
        reach = lambda source, address, port: region.python(source, CONNECT, address, port, 0.5)
        assert reach(operator, "10.0.100.10", 22) == "connected"
        assert reach(operator, "10.0.100.10", 80) == "lost"
        assert reach(stranger, "10.0.100.10", 22) == "lost"
        # The interface goes to another machine, with its address and its hardware address.
        net.ec2.detach_network_interface(AttachmentId=attached["AttachmentId"])
        wait_for("the second interface to go", lambda: "10.0.100.10" not in addresses())
        spare = net.run(web, "10.0.1.11")
        net.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=spare, DeviceIndex=1)
        links = lambda: region.exec(spare, "ip", "-o", "link").stdout
        wait_for("the interface to move", lambda: made["MacAddress"] in links())
        there = lambda: region.exec(spare, "ip", "-4", "-o", "addr").stdout
        wait_for("its address to move", lambda: "10.0.100.10" in there())
    with Server(spare, 22):
        assert region.python(operator, CONNECT, "10.0.100.10", 22) == "connected"

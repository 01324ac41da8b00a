# Elastic addresses: reverse names, and an address that another account gets.
AllocateAddress {"Domain": "vpc"} -> address=AllocationId
DescribeAddresses {"AllocationIds": ["$address"]} -> public=Addresses.0.PublicIp
MoveAddressToVpc {"PublicIp": "$public"}
DescribeMovingAddresses
ModifyAddressAttribute {"AllocationId": "$address", "DomainName": "mail.example.com"}
DescribeAddressesAttribute {"AllocationIds": ["$address"], "Attribute": "domain-name"}
ReleaseAddress {"AllocationId": "$address"} !! InvalidAddress.Locked
ResetAddressAttribute {"AllocationId": "$address", "Attribute": "domain-name"}
EnableAddressTransfer {"AllocationId": "$address", "TransferAccountId": "444455556666"}
DescribeAddressTransfers {"AllocationIds": ["$address"]}
DisableAddressTransfer {"AllocationId": "$address"}
EnableAddressTransfer {"AllocationId": "$address", "TransferAccountId": "444455556666"}
@account 444455556666
AcceptAddressTransfer {"Address": "$public"}
ReleaseAddress {"AllocationId": "$address"}

//! What a client is told when a request fails, in the form of its protocol.

use std::borrow::Cow;

use crate::codec::HttpReply;
use crate::decode::DecodeError;
use crate::shapes::{Protocol, Service};
use crate::xml::Writer;

/// A refused request: EC2's code and message, and the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code that clients act on: `InvalidVpcID.NotFound`.
    pub code: Cow<'static, str>,
    /// A sentence for people, in AWS's form.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

impl ApiError {
    /// An error with the status that EC2 gives that code: 400 unless the code says otherwise.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        let code = code.into();
        let status = match code.as_ref() {
            "AuthFailure" | "NotAuthorizedException" => 401,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "SignatureDoesNotMatch" => 403,
            "NoSuchChange"
            | "NoSuchHealthCheck"
            | "NoSuchHostedZone"
            | "UnknownOperationException"
            | "VPCAssociationAuthorizationNotFound"
            | "VPCAssociationNotFound" => 404,
            "MethodNotAllowed" => 405,
            "HostedZoneAlreadyExists" => 409,
            "DryRunOperation" => 412,
            "RequestEntityTooLarge" => 413,
            "InternalError" | "InsufficientAddressCapacity" | "InsufficientInstanceCapacity" => 500,
            "RequestLimitExceeded" | "ServiceUnavailable" | "Unavailable" => 503,
            _ => 400,
        };
        ApiError {
            code,
            message: message.into(),
            status,
        }
    }

    /// `InvalidAction`: AWS has no such action.
    #[must_use]
    pub fn invalid_action(action: &str) -> ApiError {
        let message = format!(
            "The action {} is not valid for this web service.",
            clip(action)
        );
        ApiError::new("InvalidAction", message)
    }

    /// `UnsupportedOperation`: AWS has the action, Polder does not.
    #[must_use]
    pub fn unsupported_action(action: &str) -> ApiError {
        let message = format!("The action {} is not supported by Polder.", clip(action));
        ApiError::new("UnsupportedOperation", message)
    }

    /// `UnsupportedOperation`: the parameter is AWS's, but Polder does not honour it.
    #[must_use]
    pub fn unsupported_parameter(action: &str, parameter: &str) -> ApiError {
        ApiError::new(
            "UnsupportedOperation",
            format!("The parameter {parameter} of {action} is not supported by Polder"),
        )
    }

    /// `MissingParameter`.
    #[must_use]
    pub fn missing_parameter(parameter: &str) -> ApiError {
        ApiError::new(
            "MissingParameter",
            format!("The request must contain the parameter {}", clip(parameter)),
        )
    }

    /// `UnknownParameter`: AWS has no such parameter.
    #[must_use]
    pub fn unknown_parameter(parameter: &str) -> ApiError {
        let message = format!("The parameter {} is not recognized", clip(parameter));
        ApiError::new("UnknownParameter", message)
    }

    /// `InvalidParameterValue`, with what would have been right.
    #[must_use]
    pub fn invalid_value(parameter: &str, value: &str, expected: &str) -> ApiError {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({}) for parameter {} is invalid. Expected: {expected}",
                clip(value),
                clip(parameter)
            ),
        )
    }

    /// `InternalError`: our fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new("InternalError", message)
    }

    /// What [`DecodeError`] means to the client, when the value stood at `parameter` of `action`.
    #[must_use]
    pub fn from_decode(error: &DecodeError, action: &str, parameter: &str) -> ApiError {
        let value = error.value.as_deref().unwrap_or_default();
        match error.kind {
            crate::DecodeKind::Unsupported => ApiError::unsupported_parameter(action, parameter),
            crate::DecodeKind::UnsupportedValue => ApiError::new(
                "UnsupportedOperation",
                format!(
                    "The value {} of the parameter {parameter} of {action} is not supported by Polder",
                    clip(value)
                ),
            ),
            crate::DecodeKind::Missing => ApiError::missing_parameter(parameter),
            crate::DecodeKind::Malformed => {
                malformed_id(&error.expected, value).unwrap_or_else(|| {
                    ApiError::invalid_value(parameter, value, plain(&error.expected))
                })
            }
        }
    }

    /// The error as a reply of the service.
    #[must_use]
    pub fn encode(&self, service: &Service, request_id: &str) -> HttpReply {
        let mut xml = Writer::new();
        match service.protocol() {
            Protocol::Ec2 => {
                xml.open("Response", None);
                xml.open("Errors", None);
                xml.open("Error", None);
                xml.leaf("Code", &self.code);
                xml.leaf("Message", &self.message);
                xml.close("Error");
                xml.close("Errors");
                xml.leaf("RequestID", request_id);
                xml.close("Response");
            }
            protocol @ (Protocol::Query | Protocol::RestXml) => {
                let namespace = (protocol == Protocol::RestXml).then(|| service.namespace());
                xml.open("ErrorResponse", namespace);
                xml.open("Error", None);
                xml.leaf(
                    "Type",
                    if self.status < 500 {
                        "Sender"
                    } else {
                        "Receiver"
                    },
                );
                xml.leaf("Code", &self.code);
                xml.leaf("Message", &self.message);
                xml.close("Error");
                xml.leaf("RequestId", request_id);
                xml.close("ErrorResponse");
            }
        }
        HttpReply::xml(self.status, xml)
    }
}

/// EC2's answer to an id of the wrong form, by the noun of the id's kind (as crate `types` names it). EC2 spells
/// `ID` and `Id` as it pleases and publishes no `Malformed` for some kinds, which are then not found.
#[must_use]
pub fn malformed_id(noun: &str, value: &str) -> Option<ApiError> {
    let (code, prefix) = match noun {
        "VPC id" => ("InvalidVpcID.Malformed", "vpc"),
        "subnet id" => ("InvalidSubnetID.Malformed", "subnet"),
        "network interface id" => ("InvalidNetworkInterfaceId.Malformed", "eni"),
        "security group id" => ("InvalidGroupId.Malformed", "sg"),
        "security group rule id" => ("InvalidSecurityGroupRuleId.Malformed", "sgr"),
        "route table id" => ("InvalidRouteTableId.Malformed", "rtb"),
        "route table association id" => ("InvalidAssociationID.NotFound", "rtbassoc"),
        "internet gateway id" => ("InvalidInternetGatewayId.Malformed", "igw"),
        "network ACL id" => ("InvalidNetworkAclId.Malformed", "acl"),
        "DHCP options id" => ("InvalidDhcpOptionsId.Malformed", "dopt"),
        "address association id" => ("InvalidAssociationID.NotFound", "eipassoc"),
        "attachment id" => (
            "InvalidNetworkInterfaceAttachmentId.Malformed",
            "eni-attach",
        ),
        "allocation id" => ("InvalidAllocationID.NotFound", "eipalloc"),
        "instance id" => ("InvalidInstanceID.Malformed", "i"),
        "reservation id" => ("InvalidReservationID.Malformed", "r"),
        "resource id" => {
            let message = format!("The ID '{}' is not valid", clip(value));
            return Some(ApiError::new("InvalidID", message));
        }
        _ => return None,
    };
    let value = clip(value);
    let message = if code.ends_with(".NotFound") {
        format!(
            "The {} '{value}' does not exist",
            noun.replace(" id", " ID")
        )
    } else {
        format!("Invalid id: \"{value}\" (expecting \"{prefix}-...\")")
    };
    Some(ApiError::new(code, message))
}

/// What serde calls the machine's number types, in words.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "usize" => "an integer from 0",
        "i8" => "an integer from -128 to 127",
        "i16" => "an integer from -32768 to 32767",
        "i32" => "an integer of 32 bits",
        "i64" | "isize" => "an integer of 64 bits",
        other => other,
    }
}

/// At most 200 characters of a client's text: a message stays a message.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(200) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: HttpReply) -> String {
        String::from_utf8(reply.body).unwrap()
    }

    #[test]
    fn forms() {
        let error = ApiError::new("InvalidVpcID.NotFound", "The vpc ID 'a<b&c' does not exist");
        let reply = error.encode(Service::ec2(), "r-1");
        assert_eq!(reply.status, 400);
        assert_eq!(
            text(reply),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidVpcID.NotFound\
             </Code><Message>The vpc ID 'a&lt;b&amp;c' does not exist</Message></Error></Errors>\
             <RequestID>r-1</RequestID></Response>"
        );
        assert_eq!(
            text(ApiError::internal("x").encode(Service::sts(), "r-2")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error><Type>Receiver</Type>\
             <Code>InternalError</Code><Message>x</Message></Error><RequestId>r-2</RequestId></ErrorResponse>"
        );
    }

    #[test]
    fn every_kind_of_id_has_a_code() {
        fn noun<T: std::str::FromStr<Err = types::ParseError>>() -> &'static str {
            "?".parse::<T>().err().unwrap().expected
        }
        for noun in [
            noun::<types::VpcId>(),
            noun::<types::SubnetId>(),
            noun::<types::InterfaceId>(),
            noun::<types::GroupId>(),
            noun::<types::GroupRuleId>(),
            noun::<types::RouteTableId>(),
            noun::<types::AssociationId>(),
            noun::<types::GatewayId>(),
            noun::<types::AclId>(),
            noun::<types::DhcpOptionsId>(),
            noun::<types::AllocationId>(),
            noun::<types::AddressAssociationId>(),
            noun::<types::AttachmentId>(),
            noun::<types::InstanceId>(),
            noun::<types::ReservationId>(),
            noun::<types::ObjectId>(),
        ] {
            assert!(malformed_id(noun, "x").is_some(), "{noun}");
        }
        let error = malformed_id("VPC id", "x\u{0}").unwrap();
        assert_eq!(error.code, "InvalidVpcID.Malformed");
        assert_eq!(
            error.message,
            "Invalid id: \"x\u{0}\" (expecting \"vpc-...\")"
        );
        let error = malformed_id("allocation id", "x").unwrap();
        assert_eq!(error.message, "The allocation ID 'x' does not exist");
        assert_eq!(malformed_id("CIDR block", "x"), None);
    }
}

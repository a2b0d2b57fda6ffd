//! Checks a frame against the shape of its request before it is decoded.
//!
//! The codec takes memory for as many elements as an array says it has. A frame of a few bytes can say two thousand
//! million. So every count and length is first held against the bytes that are really there.

use super::shapes::{Field, Kind, fields};
use bytes::Buf;
use kafka_protocol::messages::ApiKey;

/// Most array elements in one request, over all arrays.
const MAX_ELEMENTS: usize = 200_000;

/// Whether a frame begins with a request header of this version.
pub(super) fn check_header(frame: &[u8], header_version: i16) -> Option<()> {
    let mut walk = Walk {
        bytes: frame,
        version: 0,
        flexible: false,
        elements: 0,
    };
    walk.skip(8)?;
    if header_version >= 1 {
        walk.text()?;
    }
    if header_version >= 2 {
        walk.tags()?;
    }
    Some(())
}

/// Whether the body's counts and lengths fit its bytes.
pub(super) fn check_body(api: ApiKey, version: i16, body: &[u8]) -> Option<()> {
    let mut walk = Walk {
        bytes: body,
        version,
        flexible: api.request_header_version(version) >= 2,
        elements: 0,
    };
    walk.structure(fields(api)?)
}

struct Walk<'a> {
    bytes: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Option<()> {
        for Field(kind, first, last) in fields {
            if (*first..=*last).contains(&self.version) {
                self.value(kind)?;
            }
        }
        if self.flexible { self.tags() } else { Some(()) }
    }

    fn value(&mut self, kind: &'static Kind) -> Option<()> {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Text => self.text(),
            Kind::Blob => {
                let length = self.count()?;
                self.skip(length)
            }
            Kind::List(element) => {
                for _ in 0..self.element_count()? {
                    self.value(element)?;
                }
                Some(())
            }
            Kind::Structs(fields) => {
                for _ in 0..self.element_count()? {
                    self.structure(fields)?;
                }
                Some(())
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        let length = if self.flexible {
            self.count()?
        } else {
            match self.bytes.try_get_i16().ok()? {
                -1 => 0,
                length => usize::try_from(length).ok()?,
            }
        };
        self.skip(length)
    }

    /// The length of an array or a blob; null counts as empty.
    fn count(&mut self) -> Option<usize> {
        if self.flexible {
            return Some(self.varint()?.saturating_sub(1));
        }
        match self.bytes.try_get_i32().ok()? {
            -1 => Some(0),
            count => usize::try_from(count).ok(),
        }
    }

    fn element_count(&mut self) -> Option<usize> {
        let count = self.count()?;
        self.elements = self.elements.checked_add(count)?;
        (count <= self.bytes.len() && self.elements <= MAX_ELEMENTS).then_some(count)
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.bytes.try_get_u8().ok()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::versions::SUPPORTED;
    use super::*;
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::RequestKind;
    use kafka_protocol::messages::{MetadataRequest, ProduceRequest};
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn an_array_that_promises_more_than_there_is_is_refused() {
        let mut body = BytesMut::new();
        body.put_i32(i32::MAX);
        assert_eq!(check_body(ApiKey::Metadata, 1, &body), None);
        assert_eq!(
            check_body(
                ApiKey::Metadata,
                9,
                &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]
            ),
            None
        );
    }

    #[test]
    fn what_the_codec_writes_has_the_shape() {
        for version in 0..=12 {
            let mut body = BytesMut::new();
            MetadataRequest::default()
                .encode(&mut body, version)
                .unwrap();
            assert_eq!(
                check_body(ApiKey::Metadata, version, &body),
                Some(()),
                "version {version}"
            );
        }
        let mut body = BytesMut::new();
        ProduceRequest::default().encode(&mut body, 9).unwrap();
        assert_eq!(check_body(ApiKey::Produce, 9, &body), Some(()));
    }

    #[test]
    fn every_served_request_has_a_shape_that_takes_zeros_or_refuses_them_without_harm() {
        for (api, lowest, highest) in SUPPORTED {
            assert!(fields(api).is_some(), "{api:?}");
            for version in lowest..=highest {
                for length in [0, 1, 5, 64] {
                    let body = vec![0; length];
                    if check_body(api, version, &body).is_some() {
                        drop(RequestKind::decode(
                            api,
                            &mut bytes::Bytes::from(body),
                            version,
                        ));
                    }
                }
            }
        }
    }
}

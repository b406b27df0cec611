//! Bodies that the upstream compressed although it was asked not to.

use std::io::Write;

use flate2::write::{GzDecoder, ZlibDecoder};

use super::BodyError;

/// A content encoding that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip` (RFC 1952)
    Gzip,
    /// `deflate`: zlib (RFC 1950)
    Deflate,
}

impl Encoding {
    /// The encoding of that name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }
}

/// Decodes a body piece by piece.
#[derive(Debug)]
pub struct Inflate {
    decoder: Decoder,
    ratio: u64,
    taken: u64,
    given: u64,
}

#[derive(Debug)]
enum Decoder {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

/// Bytes decoded at a time: what they become is bounded by this and by what DEFLATE can do.
const PIECE: usize = 4096;

/// Bytes that a body may have in any case.
const FREE: u64 = 1 << 20;

impl Inflate {
    /// A decoder of a body that may be `ratio` times longer than its compressed form.
    pub fn new(encoding: Encoding, ratio: u32) -> Self {
        Self {
            decoder: match encoding {
                Encoding::Gzip => Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))),
                Encoding::Deflate => Decoder::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            },
            ratio: u64::from(ratio.max(1)),
            taken: 0,
            given: 0,
        }
    }

    /// Decodes a chunk; `take` gets what comes out, piece by piece.
    ///
    /// # Errors
    /// It can't be decoded, or expands too much; or `take` fails.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        for piece in chunk.chunks(PIECE) {
            self.taken += piece.len() as u64;
            let mut rest = piece;
            while !rest.is_empty() {
                let written = match &mut self.decoder {
                    Decoder::Gzip(d) => d.write(rest),
                    Decoder::Deflate(d) => d.write(rest),
                };
                match written {
                    // Nothing is taken behind the end of the stream.
                    Ok(0) | Err(_) => return Err(BodyError::Encoding),
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                }
                self.hand_on(&mut take)?;
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// It ended in the middle, its checksum is wrong; or `take` fails.
    pub fn finish(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        let end = match &mut self.decoder {
            Decoder::Gzip(d) => d.try_finish(),
            Decoder::Deflate(d) => d.try_finish(),
        };
        end.map_err(|_| BodyError::Encoding)?;
        self.hand_on(&mut take)
    }

    fn hand_on(
        &mut self,
        take: &mut impl FnMut(&[u8]) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        let out = match &mut self.decoder {
            Decoder::Gzip(d) => d.get_mut(),
            Decoder::Deflate(d) => d.get_mut(),
        };
        self.given += out.len() as u64;
        if self.given > FREE.max(self.taken.saturating_mul(self.ratio)) {
            return Err(BodyError::Expands);
        }
        take(out)?;
        out.clear();
        Ok(())
    }
}

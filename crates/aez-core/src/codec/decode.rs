//! The bytes of an `.aez` file to a picture.

use crate::{
    container::{File, Header},
    error::{Error, Result},
    limits::Limits,
    model::Model,
    picture::Picture,
};

/// Decodes files that were encoded with one model.
///
/// ```
/// use aez_core::{Decoder, Encoder, Limits, Picture};
/// # fn main() -> aez_core::Result<()> {
/// # let model = aez_core::testing::tiny();
/// # let file = Encoder::new(&model).encode(&Picture::from_rgb(40, 30, vec![90; 3600]))?;
/// let decoder = Decoder::new(&model).limits(Limits::default().with_max_pixels(1 << 20));
/// let picture = decoder.decode(&file)?;
/// assert_eq!((picture.width, picture.height), (40, 30));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Decoder<'m> {
    model: &'m Model,
    limits: Limits,
}

impl<'m> Decoder<'m> {
    /// A decoder with the default [`Limits`].
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self { model, limits: Limits::default() }
    }

    /// Sets the limits on what a file may request.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Decodes a file. A picture whose alpha plane is opaque everywhere is returned without it.
    ///
    /// # Errors
    /// For any bytes: [`Error::NotAez`], [`Error::Damaged`], [`Error::UnsupportedVersion`], [`Error::Unsupported`],
    /// [`Error::WrongModel`] or [`Error::Limit`]. Otherwise [`Error::Backend`], or [`Error::Io`] when there is not enough memory.
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture> {
        self.decode_parsed(&self.parse(bytes)?)
    }

    /// Checks the structure of a file of the model's family.
    ///
    /// # Errors
    /// Those of [`File::parse`], [`Error::Unsupported`] for an unknown family, and [`Error::WrongModel`] for another one.
    pub fn parse<'b>(&self, bytes: &'b [u8]) -> Result<File<'b>> {
        // A file of another family is reported as such, even if its checksum is of a kind that is not known here.
        self.check_family(&Header::parse(bytes)?.0)?;
        File::parse(bytes, &self.limits)
    }

    /// Decodes a file whose structure was checked by [`Decoder::parse`] or [`File::parse`].
    ///
    /// # Errors
    /// As for [`Decoder::decode`].
    pub fn decode_parsed(&self, file: &File<'_>) -> Result<Picture> {
        self.decode_by(file, |limits| self.model.codec().decode(&file.header, file.payload(), limits))
    }

    /// Decodes a file that may be cut at its end to a picture of full size, with less detail the more is missing. An alpha plane or
    /// metadata that are not complete are left out. Of a complete file, this returns what [`Decoder::decode`] does.
    ///
    /// The checksum of a cut file cannot be verified: if bytes of it were changed, the picture shows something else.
    ///
    /// # Errors
    /// As for [`Decoder::decode`], for a file that is cut within its header. [`Error::Misuse`] for a cut file of a family without
    /// levels.
    pub fn decode_partial(&self, bytes: &[u8]) -> Result<PartialPicture> {
        let levels = |file: &File<'_>| self.model.codec().levels(&file.header);
        match self.parse(bytes) {
            Ok(file) => {
                let (picture, levels) = (self.decode_parsed(&file)?, levels(&file));
                Ok(PartialPicture { picture, levels, complete_levels: levels })
            }
            Err(Error::Damaged(_)) => {
                let file = File::parse_cut(bytes, &self.limits)?;
                let mut complete_levels = 0;
                let picture = self.decode_by(&file, |limits| {
                    let (rgb, complete) =
                        self.model.codec().decode_cut(&file.header, file.payload(), limits)?;
                    complete_levels = complete;
                    Ok(rgb)
                })?;
                Ok(PartialPicture { picture, levels: levels(&file), complete_levels })
            }
            Err(error) => Err(error),
        }
    }

    /// Number of bytes that each level of a file's colours takes, in the order in which they are stored: each adds detail to those
    /// before it. One number for families without levels. This takes about as long as decoding.
    ///
    /// # Errors
    /// As for [`Decoder::decode`].
    pub fn level_bytes(&self, file: &File<'_>) -> Result<Vec<usize>> {
        let left = self.check(file)?;
        self.model.codec().level_bytes(&file.header, file.payload(), &left)
    }

    /// Decodes a file whose colours are decoded by `colours`.
    fn decode_by(
        &self,
        file: &File<'_>,
        colours: impl FnOnce(&Limits) -> Result<Vec<u8>>,
    ) -> Result<Picture> {
        let left = self.check(file)?;
        let (alpha, icc, exif, xmp) = (file.alpha()?, file.icc()?, file.exif()?, file.xmp()?);
        let header = file.header;
        let picture = Picture::from_rgb(header.width, header.height, colours(&left)?).with_gray(header.gray);
        Ok(picture.with_alpha(alpha).with_icc(icc).with_exif(exif).with_xmp(xmp))
    }

    /// Checks that the model is the file's, and the limits. Returns what of them is left for the colours.
    fn check(&self, file: &File<'_>) -> Result<Limits> {
        let (header, codec) = (file.header, self.model.codec());
        self.check_family(&header)?;
        if header.model != codec.id() {
            return Err(Error::WrongModel { wanted: header.model, given: codec.id() });
        }
        self.limits.check_size(header.width, header.height)?;
        let sections = file.section_memory()?;
        self.limits.check_memory(sections.saturating_add(codec.memory(&header)))?;
        Ok(self.limits.with_max_memory(self.limits.max_memory - sections))
    }

    fn check_family(&self, header: &Header) -> Result<()> {
        if header.family == self.model.family() {
            Ok(())
        } else if header.family.name().is_some() {
            Err(Error::WrongModel { wanted: header.model, given: self.model.id() })
        } else {
            Err(header.family.unsupported())
        }
    }
}

/// What [`Decoder::decode_partial`] made of a file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PartialPicture {
    /// The picture, in full size.
    pub picture: Picture,
    /// Number of levels of a complete file.
    pub levels: usize,
    /// Number of levels that the file has completely.
    pub complete_levels: usize,
}

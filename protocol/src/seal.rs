//! Sealing, at the agency: one HPKE encapsulation a part and office, then only the AEAD (SPEC 8).

use hpke::{Deserializable as _, OpModeS, Serializable as _, aead::AeadCtxS};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

pub use crate::envelope::PayloadContext;
use crate::envelope::{Aead, Kdf, Kem, answer_info, deposit_info, encrypt_once, wrap_aad};
use crate::ids::{CommissionId, ManifestId, RecordId, SubjectId};
use crate::keys::WrapKey;
use crate::manifest::{Agency, Manifest, Office};
use crate::messages::Blob;
use crate::part::{Encapsulation, LOCKED_OVERHEAD, PartSeal, Salt, WRAP_BYTES, locked_bytes};
use crate::sign::{Purpose, SigningKey};
use crate::slot::Sealed;
use crate::ticket::Asked;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the opening key of office `{0}` is no X25519 public key")]
    OpeningKey(String),
    #[error("the payload of item `{item}` has {got} bytes; its bucket holds {room}")]
    TooLong { item: String, got: usize, room: usize },
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

type Context = AeadCtxS<Aead, Kdf, Kem>;

/// Seals the records of one part. Shared by threads.
pub struct PartSealer<'m> {
    manifest: ManifestId,
    agency: &'m Agency,
    salt: Salt,
    random: SystemRandom,
    offices: Vec<(&'m str, Encapsulation, Context)>,
}

impl<'m> PartSealer<'m> {
    pub fn new(manifest: &'m Manifest, agency: &'m Agency) -> Result<Self, SealError> {
        let random = SystemRandom::new();
        let mut salt = [0; 16];
        random.fill(&mut salt).map_err(|_| SealError::NoRandomness)?;
        let offices = manifest.deposit_offices().map(|office| {
            let info = deposit_info(manifest.id(), &agency.name, &office.name, &salt);
            let (encapsulation, context) = encapsulate(office, info.as_slice())?;
            Ok((office.name.as_str(), encapsulation, context))
        });
        Ok(Self { manifest: manifest.id(), agency, salt, random, offices: offices.collect::<Result<_, _>>()? })
    }

    pub fn part_seal(&self) -> PartSeal {
        let encapsulations = self.offices.iter().map(|(_, encapsulation, _)| *encapsulation);
        PartSeal { salt: self.salt, encapsulations: encapsulations.collect() }
    }

    /// Seals one record: the wrapped data keys and the locked payloads, as SPEC 10.2 lays them out.
    ///
    /// `payloads` holds one payload for each of [`Agency::offers`], in that order.
    pub fn record(
        &self,
        record: RecordId,
        wrap_keys: &[(u8, WrapKey)],
        payloads: &[Vec<u8>],
    ) -> Result<(Vec<u8>, Vec<u8>), SealError> {
        let mut data_key = Zeroizing::new([0; 32]);
        self.random.fill(data_key.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
        let mut wraps = Vec::with_capacity(wrap_keys.len() * (1 + WRAP_BYTES));
        let aad = wrap_aad(self.manifest, &self.agency.name, record);
        for (index, key) in wrap_keys {
            let mut wrap = data_key.to_vec();
            encrypt_once(&key.for_record(record, &self.salt), &aad, &mut wrap);
            wraps.push(*index);
            wraps.extend_from_slice(&wrap);
        }
        Ok((wraps, self.lock(record, &data_key, payloads)?))
    }

    fn lock(&self, record: RecordId, data_key: &[u8; 32], payloads: &[Vec<u8>]) -> Result<Vec<u8>, SealError> {
        let mut locked = Vec::with_capacity(self.offices.len() * locked_bytes(self.agency));
        for (office, _, hpke) in &self.offices {
            for ((item, level), payload) in self.agency.offers().zip(payloads) {
                let agency = self.agency.name.as_str();
                let context =
                    PayloadContext { manifest: self.manifest, agency, record, item: &item.name, level, answers: None };
                let mut bytes = seal(hpke, &context, payload, item.bucket)?;
                encrypt_once(&context.lock_key(data_key, office), &context.aad(), &mut bytes);
                locked.extend_from_slice(&bytes);
            }
        }
        Ok(locked)
    }
}

/// Seals answers on match for one commission's office.
pub struct AnswerSealer<'m> {
    manifest: ManifestId,
    agency: &'m Agency,
    commission: CommissionId,
    encapsulation: Encapsulation,
    hpke: Context,
}

impl<'m> AnswerSealer<'m> {
    pub fn new(
        manifest: &Manifest,
        agency: &'m Agency,
        office: &Office,
        commission: CommissionId,
    ) -> Result<Self, SealError> {
        let info = answer_info(manifest.id(), &agency.name, &office.name, commission);
        let (encapsulation, hpke) = encapsulate(office, info.as_slice())?;
        Ok(Self { manifest: manifest.id(), agency, commission, encapsulation, hpke })
    }

    /// Seals and signs what is told about one record: a payload for each item asked, in the ticket's order.
    pub fn answer(
        &self,
        key: &SigningKey,
        subject: SubjectId,
        record: RecordId,
        asked: &[(&Asked, Vec<u8>)],
    ) -> Result<Sealed, SealError> {
        let items = asked.iter().map(|(asked, payload)| {
            let context = PayloadContext {
                manifest: self.manifest,
                agency: &self.agency.name,
                record,
                item: &asked.item,
                level: asked.level,
                answers: Some((self.commission, subject)),
            };
            let bucket = self.agency.item(&asked.item).map_or(0, |item| item.bucket);
            seal(&self.hpke, &context, payload, bucket).map(Blob)
        });
        let items: Vec<Blob> = items.collect::<Result<_, _>>()?;
        let signed = Sealed::signed_bytes(self.commission, subject, record, &self.encapsulation, &items);
        let signature = key.sign(Purpose::Answer, &signed);
        Ok(Sealed { record, encapsulation: self.encapsulation, items, signature })
    }
}

fn encapsulate(office: &Office, info: &[u8]) -> Result<(Encapsulation, Context), SealError> {
    let refuse = || SealError::OpeningKey(office.name.clone());
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&office.opening_key.0).map_err(|_| refuse())?;
    let (encapsulation, context) =
        hpke::setup_sender::<Aead, Kdf, Kem>(&OpModeS::Base, &key, info).map_err(|_| refuse())?;
    Ok((encapsulation.to_bytes().into(), context))
}

// SPEC 8.3  sealed = AES-256-GCM(export(context), padded payload, context)
fn seal(hpke: &Context, context: &PayloadContext<'_>, payload: &[u8], bucket: u16) -> Result<Vec<u8>, SealError> {
    let mut bytes = padded(payload, context.item, usize::from(bucket))?;
    let mut key = Zeroizing::new([0; 32]);
    hpke.export(context.exporter().as_slice(), key.as_mut_slice()).expect("32 bytes can be exported");
    encrypt_once(&key, &context.aad(), &mut bytes);
    Ok(bytes)
}

// SPEC 8.6  u16 length (little-endian), payload, zeros up to the bucket
fn padded(payload: &[u8], item: &str, bucket: usize) -> Result<Vec<u8>, SealError> {
    let room = bucket - 2;
    if payload.len() > room {
        return Err(SealError::TooLong { item: item.to_owned(), got: payload.len(), room });
    }
    let length = u16::try_from(payload.len()).expect("a bucket's length is a u16");
    let mut bytes = Vec::with_capacity(bucket + LOCKED_OVERHEAD);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bucket, 0);
    Ok(bytes)
}

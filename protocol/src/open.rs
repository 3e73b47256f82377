//! Opening, at the office: only what its ticket permits, only for people it can name (SPEC 8).

use std::fmt;

use hpke::{Deserializable as _, OpModeR, Serializable as _, aead::AeadCtxR};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::envelope::{Aead, Kdf, Kem, PayloadContext, answer_info, decrypt_once, deposit_info, wrap_aad};
use crate::ids::{RecordId, SubjectId};
use crate::keys::WrapKey;
use crate::manifest::{Agency, Manifest};
use crate::part::{Encapsulation, Salt};
use crate::secret::{WeakKey, checked};
use crate::sign::{PublicKey, Purpose};
use crate::slot::Sealed;
use crate::ticket::{Asked, Granted, Refusal};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the ticket does not allow it: {0}")]
    Refused(#[from] Refusal),
    #[error("none of the subject's own values unlocks the record")]
    Locked,
    #[error("the payload is not sealed to this office, or not for this record, item and level")]
    NotOurs,
    #[error("the answer is not signed by agency `{0}`")]
    BadSignature(String),
}

/// An office's private X25519 key. Not `Clone`, not `Serialize`; it opens.
pub struct OpeningKey(<Kem as hpke::Kem>::PrivateKey);

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey(..)")
    }
}

type Context = AeadCtxR<Aead, Kdf, Kem>;

impl OpeningKey {
    pub fn new(bytes: &[u8]) -> Result<Self, WeakKey> {
        let bytes = checked(bytes)?;
        let key = <Kem as hpke::Kem>::PrivateKey::from_bytes(bytes.as_slice());
        key.map(Self).map_err(|_| WeakKey::Length(bytes.len()))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(<Kem as hpke::Kem>::sk_to_pk(&self.0).to_bytes().into())
    }

    fn decapsulate(&self, encapsulation: &Encapsulation, info: &[u8]) -> Result<Context, OpenError> {
        let encapsulation =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulation).map_err(|_| OpenError::NotOurs)?;
        hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &self.0, &encapsulation, info)
            .map_err(|_| OpenError::NotOurs)
    }
}

/// An office that opens under one ticket, at one moment.
pub struct Opener<'o> {
    pub key: &'o OpeningKey,
    pub manifest: &'o Manifest,
    pub ticket: &'o Granted,
    pub now: Timestamp,
}

/// What a deposit slot carries.
pub struct Deposit<'d> {
    pub record: RecordId,
    pub salt: &'d Salt,
    pub encapsulation: &'d Encapsulation,
    pub wrap: &'d [u8],
    pub locked: &'d [Vec<u8>],
}

impl Opener<'_> {
    /// Opens a released deposit: one payload for each item asked of the agency, in the ticket's order.
    ///
    /// `wrap_keys` are the subject's own, of the pass that matched: who cannot name the person has none that fits.
    pub fn deposit(
        &self,
        subject: SubjectId,
        agency: &Agency,
        deposit: &Deposit<'_>,
        wrap_keys: &[WrapKey],
    ) -> Result<Vec<Vec<u8>>, OpenError> {
        let office = &self.ticket.ticket().office;
        let data_key = self.unwrap(agency, deposit, wrap_keys)?;
        let info = deposit_info(self.manifest.id(), &agency.name, office, deposit.salt);
        let hpke = self.key.decapsulate(deposit.encapsulation, info.as_slice())?;
        let open = |(asked, locked): (&Asked, &Vec<u8>)| {
            let context = self.context(subject, agency, deposit.record, asked)?;
            let lock_key = Zeroizing::new(context.lock_key(&data_key, office));
            let sealed = decrypt_once(&lock_key, &context.aad(), locked).ok_or(OpenError::NotOurs)?;
            unseal(&hpke, &context, &sealed)
        };
        self.ticket.asked(&agency.name).zip(deposit.locked).map(open).collect()
    }

    /// Opens an answer on match, after checking the agency's signature.
    pub fn answer(&self, subject: SubjectId, agency: &Agency, answer: &Sealed) -> Result<Vec<Vec<u8>>, OpenError> {
        let commission = self.ticket.id();
        let signed = Sealed::signed_bytes(commission, subject, answer.record, &answer.encapsulation, &answer.items);
        agency
            .signing_key
            .verify(Purpose::Answer, &signed, &answer.signature)
            .map_err(|_| OpenError::BadSignature(agency.name.clone()))?;
        let info = answer_info(self.manifest.id(), &agency.name, &self.ticket.ticket().office, commission);
        let hpke = self.key.decapsulate(&answer.encapsulation, info.as_slice())?;
        let open = |(asked, sealed): (&Asked, &crate::messages::Blob)| {
            let mut context = self.context(subject, agency, answer.record, asked)?;
            context.answers = Some((commission, subject));
            unseal(&hpke, &context, &sealed.0)
        };
        self.ticket.asked(&agency.name).zip(&answer.items).map(open).collect()
    }

    fn unwrap(
        &self,
        agency: &Agency,
        deposit: &Deposit<'_>,
        wrap_keys: &[WrapKey],
    ) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let aad = wrap_aad(self.manifest.id(), &agency.name, deposit.record);
        let open = |key: &WrapKey| {
            let bytes =
                Zeroizing::new(decrypt_once(&key.for_record(deposit.record, deposit.salt), &aad, deposit.wrap)?);
            <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new)
        };
        wrap_keys.iter().find_map(open).ok_or(OpenError::Locked)
    }

    /// The context of one payload, if the ticket permits it now.
    fn context<'c>(
        &self,
        subject: SubjectId,
        agency: &'c Agency,
        record: RecordId,
        asked: &'c Asked,
    ) -> Result<PayloadContext<'c>, OpenError> {
        self.ticket.permits(subject, &agency.name, &asked.item, asked.level, self.now)?;
        let manifest = self.manifest.id();
        Ok(PayloadContext {
            manifest,
            agency: &agency.name,
            record,
            item: &asked.item,
            level: asked.level,
            answers: None,
        })
    }
}

fn unseal(hpke: &Context, context: &PayloadContext<'_>, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut key = Zeroizing::new([0; 32]);
    hpke.export(context.exporter().as_slice(), key.as_mut_slice()).expect("32 bytes can be exported");
    let padded = decrypt_once(&key, &context.aad(), sealed).ok_or(OpenError::NotOurs)?;
    let (length, rest) = padded.split_first_chunk::<2>().ok_or(OpenError::NotOurs)?;
    let payload = rest.get(..usize::from(u16::from_le_bytes(*length)));
    payload.map(<[u8]>::to_vec).ok_or(OpenError::NotOurs)
}

//! Who calls: organisation and role of the client certificate. An argument of these types *is* the authentication.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use hedui_protocol::acts::Actor;
use hedui_protocol::ids::KeyHash;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::parse_x509_certificate;
use x509_parser::x509::AttributeTypeAndValue;

use super::listener::Peer;
use super::problem::Problem;
use crate::server::Linkage;
use crate::server::epochs::Epochs;

/// The role of the linkage operator's people.
const OPERATOR: &str = "operator";

/// The certificate's O and OU.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub organisation: String,
    pub role: String,
    peer: Peer,
}

impl Caller {
    pub fn of_peer(peer: Peer) -> Self {
        let caller = peer.0.first().map(|certificate| Self::of(certificate)).unwrap_or_default();
        Self { peer, ..caller }
    }

    /// As the listener knows it.
    pub fn of_request(request: &Request) -> Self {
        request.extensions().get::<ConnectInfo<Self>>().map(|info| info.0.clone()).unwrap_or_default()
    }

    /// Nobody, where the certificate does not read.
    fn of(certificate: &[u8]) -> Self {
        let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Self::default() };
        let text = |attribute: Option<&AttributeTypeAndValue<'_>>| {
            attribute.and_then(|attribute| attribute.as_str().ok()).unwrap_or_default().to_owned()
        };
        let subject = certificate.subject();
        let organisation = text(subject.iter_organization().next());
        let role = text(subject.iter_organizational_unit().next());
        Self { organisation, role, peer: Peer::default() }
    }

    pub fn is_operator(&self) -> bool {
        self.role == OPERATOR
    }

    /// Who answers for what an operator does.
    fn actor(&self) -> Actor {
        let certificate = self.peer.0.first().and_then(|certificate| parse_x509_certificate(certificate).ok());
        let (name, key) = certificate.map_or_else(Default::default, |(_, certificate)| {
            let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
            (name.unwrap_or_default().to_owned(), *blake3::hash(certificate.public_key().raw).as_bytes())
        });
        Actor { organisation: self.organisation.clone(), name, key: KeyHash(key) }
    }

    /// The certificates that the handshake verified, the caller's own first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.peer.0
    }
}

/// An agency of the manifest that has signed it; its name there.
pub struct Agency(pub String);

/// An office of the manifest that has signed it; its name there.
pub struct Office(pub String);

/// An agency or an office.
pub struct Party;

/// The linkage operator: one person of it.
pub struct Operator(pub Actor);

/// Who proves afterwards what was done.
pub struct Auditor;

async fn caller<S: Send + Sync>(parts: &mut Parts, state: &S, role: &str) -> Result<Caller, Problem> {
    let info = ConnectInfo::<Caller>::from_request_parts(parts, state).await;
    let caller = info.map(|info| info.0).unwrap_or_default();
    if caller.role == role {
        return Ok(caller);
    }
    let detail = format!("this needs a certificate with the role (OU) `{role}`");
    Err(Problem(Document::new(ProblemKind::Forbidden, detail)))
}

/// Whose parties are known; at the operator's port those of the first epoch.
pub struct KnownParties(Option<Arc<Linkage>>);

impl FromRef<Arc<Linkage>> for KnownParties {
    fn from_ref(linkage: &Arc<Linkage>) -> Self {
        Self(Some(Arc::clone(linkage)))
    }
}

impl FromRef<Arc<Epochs>> for KnownParties {
    fn from_ref(epochs: &Arc<Epochs>) -> Self {
        Self(epochs.first())
    }
}

/// Who stands above the parties is none of them, whatever its certificate says.
async fn no_party<S: Send + Sync>(parts: &mut Parts, state: &S, role: &str) -> Result<Caller, Problem>
where
    KnownParties: FromRef<S>,
{
    let caller = caller(parts, state, role).await?;
    if KnownParties::from_ref(state).0.is_some_and(|linkage| linkage.project.manifest.has_party(&caller.organisation)) {
        let detail = format!("`{}` is a party of the project: nobody of it is its {role}", caller.organisation);
        return Err(Problem(Document::new(ProblemKind::Forbidden, detail)));
    }
    Ok(caller)
}

impl<S: Send + Sync> FromRequestParts<S> for Agency
where
    Arc<Linkage>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = caller(parts, state, "agency").await?;
        let linkage = Arc::<Linkage>::from_ref(state);
        Ok(Self(linkage.project.agency_of(&caller.organisation).map_err(Problem)?.name.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Office
where
    Arc<Linkage>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = caller(parts, state, "office").await?;
        let linkage = Arc::<Linkage>::from_ref(state);
        Ok(Self(linkage.project.office_of(&caller.organisation).map_err(Problem)?.name.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Party
where
    Arc<Linkage>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match ConnectInfo::<Caller>::from_request_parts(parts, state).await {
            Ok(info) if info.0.role == "office" => Office::from_request_parts(parts, state).await.map(|_| Self),
            _ => Agency::from_request_parts(parts, state).await.map(|_| Self),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Auditor
where
    KnownParties: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        no_party(parts, state, "auditor").await.map(|_| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    KnownParties: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        no_party(parts, state, OPERATOR).await.map(|caller| Self(caller.actor()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_certificate_is_somebodys_or_nobodys(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..400, value in any::<u8>()) {
            prop_assert_eq!(Caller::of(&bytes).role, "");
            let key = rcgen::KeyPair::generate().unwrap();
            let mut subject = rcgen::CertificateParams::default();
            subject.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "agency");
            let mut certificate = subject.self_signed(&key).unwrap().der().to_vec();
            prop_assert_eq!(Caller::of(&certificate).role, "agency");
            let at = at % certificate.len();
            certificate[at] = value;
            let _ = Caller::of(&certificate);
        }
    }
}

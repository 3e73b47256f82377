//! Answers as a stream, for who takes many: JSON lines, or Parquet.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};
use hedui_protocol::messages::SubjectAnswer;
use parquet::arrow::ArrowWriter;

use crate::server::error::{ServerError, ServerResult};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A `SubjectAnswer` a line.
    JsonLines,
    /// Columns `subject`, `agency` (text) and `slots` (binary).
    Parquet,
}

const JSON_LINES: &str = "application/jsonl";
const PARQUET: &str = "application/vnd.apache.parquet";

impl Form {
    /// What a request's `Accept` asks for; none where it is the usual page.
    pub fn of(accept: &str) -> Option<Self> {
        let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        kinds.find_map(|kind| match kind {
            JSON_LINES => Some(Self::JsonLines),
            PARQUET => Some(Self::Parquet),
            _ => None,
        })
    }

    /// Pages of answers, as they come. A failure in the middle cuts the answer off, which its reader notices.
    pub fn respond(self, pages: impl Stream<Item = ServerResult<Vec<SubjectAnswer>>> + Send + 'static) -> Response {
        match self {
            Self::JsonLines => {
                let lines = pages.map(|page| page.map(|page| page.iter().flat_map(line).collect::<Vec<u8>>()));
                ([(CONTENT_TYPE, JSON_LINES)], Body::from_stream(lines)).into_response()
            }
            Self::Parquet => {
                let writer = ArrowWriter::try_new(Vec::new(), columns(), None).expect("the columns can be written");
                let groups = futures::stream::unfold((Some(writer), Box::pin(pages)), async |(writer, mut pages)| {
                    let mut writer = writer?;
                    match pages.next().await {
                        Some(Ok(page)) => {
                            let group = group(&mut writer, &page);
                            Some((group, (Some(writer), pages)))
                        }
                        Some(Err(error)) => Some((Err(error), (None, pages))),
                        // the footer
                        None => Some((writer.into_inner().map_err(ServerError::failed), (None, pages))),
                    }
                });
                ([(CONTENT_TYPE, PARQUET)], Body::from_stream(groups)).into_response()
            }
        }
    }
}

fn line(answer: &SubjectAnswer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).expect("answers are JSON");
    line.push(b'\n');
    line
}

/// A page as a row group; its bytes leave the writer, which goes on counting them.
fn group(writer: &mut ArrowWriter<Vec<u8>>, page: &[SubjectAnswer]) -> ServerResult<Vec<u8>> {
    let (mut subjects, mut agencies, mut slots) = (StringBuilder::new(), StringBuilder::new(), BinaryBuilder::new());
    for answer in page {
        subjects.append_value(answer.subject.to_string());
        agencies.append_value(&answer.agency);
        slots.append_value(&answer.slots.0);
    }
    let arrays: Vec<ArrayRef> =
        vec![Arc::new(subjects.finish()), Arc::new(agencies.finish()), Arc::new(slots.finish())];
    let batch = RecordBatch::try_new(columns(), arrays).expect("three columns of equal length");
    writer.write(&batch).and_then(|()| writer.flush()).map_err(ServerError::failed)?;
    Ok(std::mem::take(writer.inner_mut()))
}

fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("subject"), text("agency"), Field::new("slots", DataType::Binary, false)]))
}

//! `hedui schema diff`: what a change of schema makes incomparable.

use clap::Args;
use hedui_protocol::schema::{Field, Filter, Pass, Schema};

use crate::failure::Outcome;
use crate::project::manifest::{ProfileName, load_schema};

#[derive(Args, Debug)]
pub struct Diff {
    /// A schema file, or the name of a preset
    #[arg(value_name = "OLD")]
    old: String,
    /// The one to compare with it
    #[arg(value_name = "NEW")]
    new: String,
}

impl Diff {
    pub fn run(self) -> Outcome {
        let load = |name: &str| load_schema(name, ProfileName::Cohort);
        let lines = differences(&load(&self.old)?, &load(&self.new)?);
        if lines.is_empty() {
            println!("no difference");
        }
        lines.iter().for_each(|line| println!("{line}"));
        Ok(())
    }
}

/// One line a difference: what, and what it means for encodings made before.
fn differences(old: &Schema, new: &Schema) -> Vec<String> {
    let mut lines = Vec::new();
    if old.normalisation != new.normalisation {
        lines.push(format!(
            "normalisation {} → {}: nothing is comparable any more",
            old.normalisation, new.normalisation
        ));
    }
    if old.profile != new.profile {
        lines.push("the profile differs: nothing is comparable any more".into());
    }
    if old.clk != new.clk {
        lines.push("the linkage schema differs: no CLK is comparable any more".into());
    }
    if old.record_k != new.record_k {
        lines.push("`record-k` differs: filters of the record profile are incomparable".into());
    }
    let kind = |field: &Field| (field.kind, field.order, field.tolerance);
    let found = |field: &Field| (field.columns.clone(), field.optional);
    for (name, one, other) in paired(&old.fields, &new.fields, |field| &field.name) {
        match (one, other) {
            (Some(Field { alias_of: Some(of), .. }), None) => {
                lines.push(format!("field `{name}`, an alias of `{of}`, is gone: passes over `{of}` lose its values"))
            }
            (None, Some(Field { alias_of: Some(of), .. })) => lines.push(format!(
                "field `{name}` is new, an alias of `{of}`: passes over `{of}` gain its values, records encoded before lack them"
            )),
            (Some(_), None) => lines.push(format!("field `{name}` is gone")),
            (None, Some(_)) => {
                lines.push(format!("field `{name}` is new: files need its column, unless it is optional"))
            }
            (Some(one), Some(other)) if one.alias_of != other.alias_of => {
                let of = |field: &Field| field.alias_of.as_ref().map_or("no field".into(), |of| format!("`{of}`"));
                let (was, is) = (of(one), of(other));
                lines.push(format!("field `{name}` is an alias of {is} instead of {was}: its values go to other passes"))
            }
            (Some(one), Some(other)) if kind(one) != kind(other) => lines
                .push(format!("field `{name}` is read in another way: passes and filters over it are incomparable")),
            (Some(one), Some(other)) if found(one) != found(other) => {
                lines.push(format!("field `{name}` is looked for in other columns: encodings stay comparable"))
            }
            _ => {}
        }
    }
    let value = |pass: &Pass| (pass.of.clone(), pass.unordered);
    for (name, one, other) in paired(&old.passes, &new.passes, |pass| &pass.name) {
        match (one, other) {
            (Some(_), None) => lines.push(format!("pass `{name}` is gone: its tokens find nobody any more")),
            (None, Some(_)) => lines.push(format!("pass `{name}` is new: records encoded before have no token of it")),
            (Some(one), Some(other)) if value(one) != value(other) => {
                lines.push(format!("pass `{name}` is of other parts: its tokens are incomparable"));
            }
            (Some(one), Some(other)) if one.identifies != other.identifies => {
                lines.push(format!("pass `{name}` identifies in another way: other matches release deposits"));
            }
            (Some(one), Some(other)) if (one.equal, one.unequal) != (other.equal, other.unequal) => {
                lines.push(format!(
                    "pass `{name}` weighs {} / {} instead of {} / {}: tokens stay comparable",
                    other.equal, other.unequal, one.equal, one.unequal
                ))
            }
            _ => {}
        }
    }
    let shape = |filter: &Filter| (filter.cohort.clone(), filter.fields.clone(), filter.bits, filter.k, filter.t);
    for (name, one, other) in paired(&old.filters, &new.filters, |filter| &filter.name) {
        match (one, other) {
            (Some(_), None) => lines.push(format!("filter `{name}` is gone")),
            (None, Some(_)) => lines.push(format!("filter `{name}` is new: records encoded before have none")),
            (Some(one), Some(other)) if shape(one) != shape(other) => {
                lines.push(format!("filter `{name}` is made in another way: its bits are incomparable"));
            }
            (Some(one), Some(other)) if one != other => {
                lines.push(format!("filter `{name}` weighs its bands in another way: its bits stay comparable"));
            }
            _ => {}
        }
    }
    if old.decision != new.decision {
        lines.push("the thresholds or the bias differ: encodings stay comparable, decisions differ".into());
    }
    if old != new {
        lines.push("a manifest with the new schema is another manifest: every party encodes anew under it".into());
    }
    lines
}

type Paired<'s, E> = Vec<(String, Option<&'s E>, Option<&'s E>)>;

/// Entries of both lists by name: those of the old list in its order, then the new ones.
fn paired<'s, E>(old: &'s [E], new: &'s [E], name: impl Fn(&E) -> &String) -> Paired<'s, E> {
    let find = |list: &'s [E], wanted: &str| list.iter().find(|entry| name(entry).as_str() == wanted);
    let was = old.iter().map(|entry| (name(entry).clone(), Some(entry), find(new, name(entry))));
    let is_new = new.iter().filter(|entry| find(old, name(entry)).is_none());
    let is_new = is_new.map(|entry| (name(entry).clone(), None, Some(entry)));
    was.chain(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKAGE: &str = include_str!("../../protocol/vectors/clk/febrl-blake.schema.json");

    #[test]
    fn each_change_says_what_it_means() {
        let old = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        assert!(differences(&old, &old).is_empty());
        let says = |change: &dyn Fn(&mut Schema), words: &str| {
            let mut new = old.clone();
            change(&mut new);
            let lines = differences(&old, &new);
            assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:?}");
        };
        says(&|s| s.fields[0].kind = hedui_protocol::schema::Kind::NameCn, "field `given_name` is read in another way");
        says(&|s| s.fields[0].tolerance = Some(1.0), "field `given_name` is read in another way");
        says(&|s| drop(s.fields.pop()), "field `former_surname`, an alias of `surname`, is gone");
        says(
            &|s| s.fields.last_mut().unwrap().alias_of = Some("given_name".into()),
            "field `former_surname` is an alias of `given_name` instead of `surname`",
        );
        says(&|s| s.fields.last_mut().unwrap().alias_of = None, "is an alias of no field instead of `surname`");
        says(
            &|s| s.fields.last_mut().unwrap().name = "maiden_name".into(),
            "field `maiden_name` is new, an alias of `surname`: passes over `surname` gain its values",
        );
        says(&|s| drop(s.passes.remove(0)), "pass `nid` is gone");
        says(&|s| s.passes[0].of = vec!["phone.number".into()], "pass `nid` is of other parts");
        says(&|s| s.passes[0].equal = 1.0, "pass `nid` weighs 1 /");
        says(&|s| s.passes[0].name = "other".into(), "pass `other` is new");
        says(&|s| s.filters[0].k = 3, "filter `date:name` is made in another way");
        says(&|s| s.filters[0].beyond = 9.0, "its bits stay comparable");
        says(&|s| s.decision.bias = 9.0, "decisions differ");
        says(&|s| s.record_k = Some(5), "`record-k` differs");
        says(&|s| s.fields[0].columns.clear(), "field `given_name` is looked for in other columns");
        says(&|s| s.name = "other".into(), "is another manifest");
        let clk =
            |hash: &str| Schema::around_linkage_schema("x", &LINKAGE.replace("blakeHash", hash), 0.85, 0.80).unwrap();
        let lines = differences(&clk("blakeHash"), &clk("doubleHash"));
        assert!(lines[0].contains("no CLK is comparable"), "{lines:?}");
    }
}

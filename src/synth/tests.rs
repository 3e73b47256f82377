//! Whole small cities, as they lie on disk.

use super::*;
use std::{collections::BTreeMap, collections::BTreeSet, fs};

fn write(people: u64, seed: u64) -> (tempfile::TempDir, Totals) {
    let folder = tempfile::tempdir().unwrap();
    let totals = City { people, seed }.write(&folder.path().join("city"), &mut |_, _| true).unwrap();
    (folder, totals)
}

fn read(folder: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join("city").join(name)).unwrap()
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

#[test]
fn the_same_arguments_give_the_same_bytes_and_another_seed_does_not() {
    let ((first, totals), (second, _), (other, _)) = (write(1_500, 1), write(1_500, 1), write(1_500, 2));
    for name in file_names() {
        assert!(read(&first, &name) == read(&second, &name), "{name}");
        assert!(read(&first, &name) != read(&other, &name), "{name}");
    }
    assert_eq!(totals.people, 1_500);
}

/// Pins the bytes across versions and platforms.
#[test]
fn a_known_city_stays_as_it_is() {
    let (folder, totals) = write(2_000, 1);
    let bytes = file_names().map(|name| read(&folder, &name)).collect::<String>();
    let digest = bytes.bytes().fold(0, |sum, byte| dice::hash(sum, u64::from(byte)));
    assert_eq!((totals.households, totals.applicants, digest), (756, 211, 16_622_641_159_813_296_697));
}

#[test]
fn columns_are_those_of_the_development_sets() {
    let (folder, _) = write(500, 1);
    let header = |name: &str| read(&folder, name).lines().next().unwrap().to_owned();
    let common = "id,name,id_no,dob,sex,phone,address";
    let office = "household_no,relation,consent_no,consent_scope,consent_status";
    assert_eq!(header("office.csv"), format!("{common},{office}"));
    assert_eq!(header("bank.csv"), format!("{common},accounts,balance"));
    assert_eq!(header("tax.csv"), format!("{common},annual_income"));
    assert_eq!(header("housing.csv"), format!("{common},properties,area_m2"));
    assert_eq!(header("vehicle.csv"), format!("{common},vehicles,vehicle_price"));
    assert_eq!(header("truth_tax.csv"), "id_a,id_b");
    for register in Register::ALL {
        let text = read(&folder, &file_name(register));
        let columns = header(&file_name(register)).split(',').count();
        assert!(rows(&text).iter().all(|row| row.len() == columns), "{register:?}");
    }
}

#[test]
fn ids_are_counted_in_the_order_of_the_file() {
    let (folder, totals) = write(1_500, 1);
    for (register, (name, count)) in Register::ALL.into_iter().zip(totals.rows) {
        let text = read(&folder, &format!("{name}.csv"));
        assert_eq!(rows(&text).len() as u64, count);
        for (at, row) in rows(&text).iter().enumerate() {
            assert_eq!(row[0], format!("{}{at:08}", register.letter()));
        }
    }
}

#[test]
fn identity_numbers_are_unique_right_and_of_no_region() {
    let population = Population::census(1, 20_000, &mut |_| Ok(())).unwrap();
    let mut seen = BTreeSet::new();
    for number in 0..population.households() {
        let household = population.household(number);
        for member in &household.members {
            let text = population.families.numbers.id_no(household.slot(member.origin), &member.holder);
            assert!(text.starts_with("99") && text.len() == 18, "household {number}");
            assert_eq!(text.chars().last(), Some(numbers::check_character(&text.as_bytes()[..17])));
            assert!(seen.insert(text), "household {number}");
        }
    }
    assert_eq!(seen.len(), 20_000);
}

#[test]
fn the_truth_names_rows_of_one_person() {
    let (folder, totals) = write(6_000, 1);
    let office = read(&folder, "office.csv");
    let numbers: BTreeMap<&str, &str> = rows(&office).iter().map(|row| (row[0], row[2])).collect();
    for (name, count) in totals.true_pairs {
        let (text, truth) = (read(&folder, &format!("{name}.csv")), read(&folder, &format!("truth_{name}.csv")));
        let agency: BTreeMap<&str, &str> = rows(&text).iter().map(|row| (row[0], row[2])).collect();
        let pairs = rows(&truth);
        assert_eq!(pairs.len() as u64, count);
        let alike = pairs.iter().filter(|pair| numbers[pair[0]] == agency[pair[1]]).count();
        assert!(alike * 10 > pairs.len() * 6, "{name}: {alike} of {} have the same number", pairs.len());
        let by_number: BTreeSet<&str> = numbers.values().copied().filter(|number| number.len() == 18).collect();
        let true_rows: BTreeSet<&str> = pairs.iter().map(|pair| pair[1]).collect();
        let missed = agency.iter().filter(|(id, number)| by_number.contains(*number) && !true_rows.contains(*id));
        assert!(missed.count() <= 3, "{name}: a number of the office in the agency's file is in the truth");
    }
}

#[test]
fn some_people_are_in_an_agency_twice() {
    let (folder, _) = write(6_000, 1);
    let truth = read(&folder, "truth_bank.csv");
    let pairs = rows(&truth);
    let people: BTreeSet<&str> = pairs.iter().map(|pair| pair[0]).collect();
    assert!(people.len() < pairs.len());
}

#[test]
fn rows_are_not_in_household_order() {
    let (folder, _) = write(6_000, 1);
    let office = read(&folder, "office.csv");
    let rows = rows(&office);
    let together = rows.windows(2).filter(|pair| pair[0][7] == pair[1][7]).count();
    assert!(together < rows.len() / 50, "{together} of {} stand beside kin", rows.len());
    let number = |row: &Vec<&str>| row[7][1..].parse::<u64>().unwrap();
    let rising = rows.windows(2).filter(|pair| number(&pair[0]) < number(&pair[1])).count();
    assert!((rows.len() * 2 / 5..rows.len() * 3 / 5).contains(&rising), "{rising} of {}", rows.len());
}

#[test]
fn about_one_in_ten_applies() {
    let (_, totals) = write(10_000, 1);
    assert!((800..1_200).contains(&totals.applicants), "{}", totals.applicants);
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("truth_vehicle.csv"), "mine").unwrap();
    let refused = City { people: 10, seed: 1 }.write(folder.path(), &mut |_, _| true).unwrap_err();
    assert!(matches!(&refused, SynthError::AlreadyThere { path } if path.ends_with("truth_vehicle.csv")));
    assert!(refused.hint().is_some());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing is begun");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = write(10, 1);
    for name in file_names() {
        let mode = fs::metadata(folder.path().join("city").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn progress_ends_at_the_total() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    City { people: 3_000, seed: 1 }
        .write(folder.path(), &mut |done, total| {
            heard.push((done, total));
            true
        })
        .unwrap();
    assert!(heard.is_sorted() && heard.iter().all(|(_, total)| *total == 18_000));
    assert_eq!(heard.last(), Some(&(18_000, 18_000)));
}

#[test]
fn a_city_of_nobody_and_one_too_large() {
    let (folder, totals) = write(0, 1);
    assert_eq!(totals.households, 0);
    assert_eq!(read(&folder, "bank.csv").lines().count(), 1);
    let people = City::MOST_PEOPLE + 1;
    let refused = City { people, seed: 1 }.write(folder.path(), &mut |_, _| true).unwrap_err();
    assert!(matches!(refused, SynthError::TooManyPeople { .. }));
}

//! An id stands for one name, and there are at most 65,535 of them.

use crate::support::{Column, Layout, Packing, compress, document, import, region, slot};
use terrane_formats::anvil::{Region, RegionError};
use terrane_world::block::{Registry, RegistryError};

fn many(columns: i32) -> Vec<u8> {
    let parts: Vec<_> = (0..columns)
        .map(|x| {
            let names = (0..4096).map(|n| format!("mod:b{:05}", x * 4096 + n)).collect();
            let column = Column { x, z: 0, status: "full", sections: vec![(0, names)], block_entities: vec![] };
            (slot(x, 0), 2, compress(2, &document(&column, Layout::Root, Packing::Padded)))
        })
        .collect();
    region(&parts)
}

#[test]
fn more_names_than_ids_is_a_clear_error_and_the_registry_stays_as_it_was() {
    let fits = import(&many(15), None, [0; 3]);
    assert_eq!(fits.names.len(), 15 * 4096);
    let mut registry = Registry::built_in();
    let (ids, new) = fits.register(&mut registry).unwrap();
    assert!(ids.is_sorted() && new.len() == ids.len());
    let before = registry.len();
    let other = Column {
        x: 0,
        z: 0,
        status: "full",
        sections: vec![(0, (0..4096).map(|n| format!("more{n}")).collect())],
        block_entities: vec![],
    };
    let other = import(&region(&[(0, 3, document(&other, Layout::Root, Packing::Padded))]), None, [0; 3]);
    let error = other.register(&mut registry).unwrap_err();
    assert_eq!(error, RegistryError::Full { needed: before + 4096 });
    assert!(error.to_string().contains("65535"));
    assert_eq!(registry.len(), before);

    let bytes = many(16);
    let none = |_, _| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let error = Region::open(&bytes, None).unwrap().decode([0; 3], &none, &|_| ()).unwrap_err();
    assert!(matches!(error, RegionError::TooManyNames(65_536)), "{error}");
}

#[test]
fn a_palette_entry_that_is_no_block_name_costs_its_section_only_and_only_if_a_voxel_uses_it() {
    let mut names = vec!["stone".to_owned(); 4096];
    names[9] = "Not A Block".to_owned();
    let sections = vec![(0, names), (1, vec!["dirt".to_owned(); 4096])];
    let column = Column { x: 0, z: 0, status: "full", sections, block_entities: vec![] };
    let file = import(&region(&[(0, 3, document(&column, Layout::Level, Packing::Padded))]), None, [0; 3]);
    assert_eq!(file.names, ["dirt"]);
    assert_eq!(file.problems.len(), 1);
    let text = file.problems[0].to_string();
    assert!(text.contains("chunk 0,0") || text.contains("slot 0,0"), "{text}");
    assert!(text.contains("section 0") && text.contains("Not A Block"), "{text}");
}

//! Positions of the rows and of the headings of their groups, in pixels from the top of the list.

use chrono::{DateTime, Utc};

use crate::model::message::ListItem;
use crate::model::state::Sort;

/// Height of `.row` in the style sheet, and of `.compact .row`.
const ROW_HEIGHT: i32 = 80;
const COMPACT_ROW_HEIGHT: i32 = 56;
/// Height of `.group` in the style sheet.
const GROUP_HEIGHT: i32 = 32;

pub(super) const fn row_height(compact: bool) -> i32 {
    if compact { COMPACT_ROW_HEIGHT } else { ROW_HEIGHT }
}

/// The times at which today and yesterday start in the local time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) today: DateTime<Utc>,
    pub(super) yesterday: DateTime<Utc>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListLayout {
    count: i32,
    row_height: i32,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: &'static str,
    /// Index of its first row.
    first: i32,
    pub(super) top: i32,
}

impl ListLayout {
    /// Lists that are sorted by date have groups.
    pub(super) fn new(items: &[ListItem], sort: Sort, days: Days, row_height: i32) -> Self {
        let count = i32::try_from(items.len()).unwrap_or(i32::MAX / (ROW_HEIGHT + GROUP_HEIGHT));
        let mut groups: Vec<Group> = Vec::new();
        if matches!(sort, Sort::Newest | Sort::Oldest) {
            for (first, item) in (0..).zip(items) {
                let name = group_name(item.date(), days);
                if groups.last().is_none_or(|group| group.name != name) {
                    let above = i32::try_from(groups.len()).unwrap_or_default() * GROUP_HEIGHT;
                    groups.push(Group { name, first, top: first * row_height + above });
                }
            }
        }
        Self { count, row_height, groups }
    }

    pub(super) const fn count(&self) -> i32 {
        self.count
    }

    pub(super) const fn row_height(&self) -> i32 {
        self.row_height
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(super) fn height(&self) -> i32 {
        self.top(self.count)
    }

    /// Top of a row.
    pub(super) fn top(&self, index: i32) -> i32 {
        let groups = self.groups.iter().filter(|group| group.first <= index).count();
        index * self.row_height + i32::try_from(groups).unwrap_or_default() * GROUP_HEIGHT
    }

    /// The first row that is visible if the list is scrolled by `top`.
    pub(super) fn row_at(&self, top: i32) -> i32 {
        // The row is at most as far down as without headings.
        let last = (top / self.row_height.max(1)).clamp(0, (self.count - 1).max(0));
        let first = (last - i32::try_from(self.groups.len()).unwrap_or_default()).max(0);
        (first..last).find(|index| self.top(*index) + self.row_height > top).unwrap_or(last)
    }
}

/// Messages whose date is not known are the oldest ones.
fn group_name(date: Option<DateTime<Utc>>, days: Days) -> &'static str {
    match date {
        Some(date) if date >= days.today => "Today",
        Some(date) if date >= days.yesterday => "Yesterday",
        _ => "Earlier",
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::model::message::{HeaderSummary, Message};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const DAYS: fn() -> Days = || Days { today: hour(48), yesterday: hour(24) };

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    fn items(hours: &[i64]) -> Vec<ListItem> {
        let item = |at: &i64| {
            let header = HeaderSummary { date: Some(hour(*at)), ..HeaderSummary::default() };
            ListItem::Message(Rc::new(Message { header: Some(Rc::new(header)), ..Message::default() }))
        };
        let undated = ListItem::Message(Rc::new(Message::default()));
        hours.iter().map(item).chain([undated]).collect()
    }

    fn groups(layout: &ListLayout) -> Vec<(&'static str, i32, i32)> {
        layout.groups().iter().map(|group| (group.name, group.first, group.top)).collect()
    }

    #[test]
    fn days_are_groups_with_a_heading_above_their_first_row() {
        [false, true].map(row_height).into_iter().for_each(check_groups);
    }

    fn check_groups(row: i32) {
        // A clock that is ahead, today twice, yesterday, earlier.
        let layout = ListLayout::new(&items(&[99, 50, 48, 47, 23]), Sort::Newest, DAYS(), row);
        let head = GROUP_HEIGHT;
        assert_eq!(
            groups(&layout),
            [("Today", 0, 0), ("Yesterday", 3, 3 * row + head), ("Earlier", 4, 4 * row + 2 * head)]
        );
        assert_eq!(
            [0, 2, 3, 4, 5].map(|index| layout.top(index)),
            [head, 2 * row + head, 3 * row + 2 * head, 4 * row + 3 * head, 5 * row + 3 * head]
        );
        assert_eq!(layout.height(), 6 * row + 3 * head);
        for index in 0..6 {
            assert_eq!(layout.row_at(layout.top(index)), index);
            assert_eq!(layout.row_at(layout.top(index) + row - 1), index);
        }
        assert_eq!((layout.row_at(0), layout.row_at(1_000_000)), (0, 5));
    }

    #[test]
    fn other_orders_have_no_groups() {
        let layout = ListLayout::new(&items(&[99, 50]), Sort::Sender, DAYS(), ROW_HEIGHT);
        assert_eq!((groups(&layout), layout.top(2)), (vec![], 2 * ROW_HEIGHT));
        let empty = ListLayout::new(&[], Sort::Newest, DAYS(), ROW_HEIGHT);
        assert_eq!((empty.height(), empty.row_at(50)), (0, 0));
    }
}

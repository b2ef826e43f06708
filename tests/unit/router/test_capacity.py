"""The view of capacity between what the watch tells and what dispatches answer."""

from services.router.capacity import CapacityView, ManagerCapacity


def told(load: int) -> ManagerCapacity:
    return ManagerCapacity(manager_id="m1", city="NJ", load_units=load)


def load_of(view: CapacityView) -> int:
    (manager,) = view.of_city("NJ")
    return manager.load_units


def test_a_stored_task_counts_until_the_watch_tells_it() -> None:
    view = CapacityView()
    view.replace_all([told(0)])
    view.add_load("m1", 20, since=view.heard)
    assert load_of(view) == 20
    view.update([told(20)])
    assert load_of(view) == 20


def test_a_task_that_the_watch_told_before_the_answer_counts_once() -> None:
    view = CapacityView()
    view.replace_all([told(0), ManagerCapacity(manager_id="m2", city="SZ")])
    sent_at = view.heard
    view.update([told(20)])
    view.add_load("m1", 20, since=sent_at)
    assert load_of(view) == 20
    view.add_load("m2", 20, since=sent_at)
    assert view.of_city("SZ")[0].load_units == 20, "nothing was told about the other"
    view.replace_all([told(20)])
    view.add_load("m1", 20, since=sent_at)
    assert load_of(view) == 20, "a snapshot tells as much"

from shotspotter_assets.quality.pictures import PICTURED_DAYS, day_pictures
from shotspotter_assets_tests.quality.sound_city import CITY, city_of, sound


def test_only_the_last_days_get_a_picture() -> None:
    city = city_of(sound(2.0))
    pictures = day_pictures(city.alerts, city.days[:60], CITY)
    assert list(pictures) == city.days[60 - PICTURED_DAYS : 60]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert len(set(pictures.values())) == PICTURED_DAYS

"""Titles: the departments of the sample catalog, as tables. Their order is the shop's order."""

from __future__ import annotations

from qtr_rerank.data.sample.departments import (
    audio,
    baby,
    beauty,
    books,
    cameras,
    clothing,
    computers,
    furniture,
    garden,
    grocery,
    kitchen,
    lighting,
    office,
    pets,
    phones,
    shoes,
    sports,
    television,
    toys,
)
from qtr_rerank.data.sample.vocabulary import Department

DEPARTMENTS: tuple[Department, ...] = (
    phones.DEPARTMENT,
    computers.DEPARTMENT,
    audio.DEPARTMENT,
    television.DEPARTMENT,
    cameras.DEPARTMENT,
    kitchen.DEPARTMENT,
    furniture.DEPARTMENT,
    lighting.DEPARTMENT,
    garden.DEPARTMENT,
    sports.DEPARTMENT,
    clothing.DEPARTMENT,
    shoes.DEPARTMENT,
    beauty.DEPARTMENT,
    toys.DEPARTMENT,
    grocery.DEPARTMENT,
    pets.DEPARTMENT,
    office.DEPARTMENT,
    baby.DEPARTMENT,
    books.DEPARTMENT,
)
